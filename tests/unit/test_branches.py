"""Branches against the roots that SSZ gives."""

from __future__ import annotations

import pytest

from encmempool.branches import fold, list_branch
from encmempool.types import BATCH_DEPTH, MAX_BATCH, BatchList


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 33])
def test_branch_leads_from_every_element_to_the_lists_root(length):
    leaves = tuple(bytes([at + 1]) * 32 for at in range(length))
    root = BatchList(tx_ids=leaves).root
    for at, leaf in enumerate(leaves):
        branch = list_branch(leaves, at, BATCH_DEPTH)
        assert len(branch) == BATCH_DEPTH + 1
        assert int.from_bytes(branch[-1], "little") == length
        assert fold(leaf, at, branch) == root != fold(leaf, at ^ 1, branch)


def test_branch_of_the_last_element_of_a_full_list_leads_to_its_root():
    leaves = tuple(at.to_bytes(32, "big") for at in range(MAX_BATCH))
    root = BatchList(tx_ids=leaves).root
    assert fold(leaves[-1], MAX_BATCH - 1, list_branch(leaves, MAX_BATCH - 1, BATCH_DEPTH)) == root


@pytest.mark.parametrize("index", [-1, 3])
def test_branch_of_an_element_that_is_not_there_is_the_callers_mistake(index):
    with pytest.raises(ValueError, match="no element"):
        list_branch([bytes(32)] * 3, index, BATCH_DEPTH)
