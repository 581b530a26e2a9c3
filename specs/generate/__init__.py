"""Makes the conformance vectors: modules here choose inputs, the pages' own code answers them."""

import specs.build  # noqa: F401 - makes `spec` importable for every module here
