//! The Python module. Vectors of points and values are lists of opaque objects, scalars 32 big-endian bytes each in one
//! buffer, encodings one buffer. Lengths and values are checked here, before the interpreter lock is released.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use blst::*;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::engine::{Engine, G1_BYTES, G2_BYTES, Product, in_parallel};
#[cfg(target_arch = "x86_64")]
use crate::ifma::{self, Ifma};
use crate::msm::pippenger_g2;
use crate::portable::{self, Portable, blst};
use crate::recoding::{Recoded, recode};
use crate::scalar::{Fr, SCALAR_BYTES, Scalar, bit_length, from_bytes, to_little_endian};
use crate::toeplitz::Toeplitz;
use crate::transform::{OfFr, OfG1, OfG2, OfGt, Transform};

// SAFETY of this file: blst's functions read and write whole values, or as many bytes as an encoding has, behind
// pointers that come from references here.

/// Raised with every change of this interface that Python can notice.
const INTERFACE: u32 = 1;
const GT_BYTES: usize = 576;
const LARGEST_TRANSFORM: usize = 1 << 20;

/// A point of G1.
#[pyclass(frozen, module = "encmempool_native")]
struct G1(blst_p1);

/// A point of G2, perhaps with its lines.
#[pyclass(frozen, module = "encmempool_native")]
struct G2 {
    point: blst_p2,
    lines: Option<AnyLines>,
}

#[pymethods]
impl G1 {
    fn __eq__(&self, other: &Self) -> bool {
        unsafe { blst_p1_is_equal(&self.0, &other.0) }
    }
}

#[pymethods]
impl Gt {
    fn __eq__(&self, py: Python<'_>, other: &Self) -> bool {
        py.detach(|| same(self, other))
    }
}

#[pymethods]
impl G2 {
    fn __eq__(&self, other: &Self) -> bool {
        unsafe { blst_p2_is_equal(&self.point, &other.point) }
    }
}

/// A value of the target group: before the hard part of the final exponentiation, unless it is finished.
#[pyclass(frozen, module = "encmempool_native")]
struct Gt {
    value: blst_fp12,
    finished: bool,
}

#[derive(Clone)]
enum AnyLines {
    Portable(Arc<portable::Lines>),
    #[cfg(target_arch = "x86_64")]
    Ifma(Arc<ifma::Lines>),
}

enum AnyToeplitz {
    Portable(Toeplitz<Portable>),
    #[cfg(target_arch = "x86_64")]
    Ifma(Toeplitz<Ifma>),
}

/// An engine whose own kinds of values can be kept in Python objects.
trait Kept: Engine {
    fn kept(lines: Self::Lines) -> AnyLines;
    fn lines_of(lines: &AnyLines) -> Option<&Self::Lines>;
}

impl Kept for Portable {
    fn kept(lines: portable::Lines) -> AnyLines {
        AnyLines::Portable(Arc::new(lines))
    }

    fn lines_of(lines: &AnyLines) -> Option<&portable::Lines> {
        match lines {
            AnyLines::Portable(lines) => Some(lines),
            #[cfg(target_arch = "x86_64")]
            AnyLines::Ifma(_) => None,
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Kept for Ifma {
    fn kept(lines: ifma::Lines) -> AnyLines {
        AnyLines::Ifma(Arc::new(lines))
    }

    fn lines_of(lines: &AnyLines) -> Option<&ifma::Lines> {
        match lines {
            AnyLines::Ifma(lines) => Some(lines),
            AnyLines::Portable(_) => None,
        }
    }
}

#[cfg(target_arch = "x86_64")]
static WITH_IFMA: LazyLock<AtomicBool> = LazyLock::new(|| AtomicBool::new(ifma::is_supported()));

/// The expression with E for the engine in use.
#[cfg(target_arch = "x86_64")]
macro_rules! on_engine {
    ($E:ident => $body:expr) => {
        if WITH_IFMA.load(Ordering::Relaxed) {
            type $E = Ifma;
            $body
        } else {
            type $E = Portable;
            $body
        }
    };
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! on_engine {
    ($E:ident => $body:expr) => {{
        type $E = Portable;
        $body
    }};
}

/// The same, but on blst alone where there are too few values to fill lanes.
macro_rules! on_engine_for {
    ($count:expr, $E:ident => $body:expr) => {
        if $count < FEW {
            type $E = Portable;
            $body
        } else {
            on_engine!($E => $body)
        }
    };
}

/// The pool of the last call, with the process and the number of threads it is for.
static POOL: Mutex<Option<(u32, usize, Arc<ThreadPool>)>> = Mutex::new(None);

const MOST_THREADS: usize = 1024;
/// Fewer values than this do not fill lanes and are not worth other threads.
const FEW: usize = 3;
/// What is given for the number where the work is much for any number.
const MANY: usize = usize::MAX;

fn check_threads(threads: usize) -> PyResult<()> {
    if (1..=MOST_THREADS).contains(&threads) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("threads must be 1 to {MOST_THREADS}, not {threads}")))
}

/// A child after a fork has none of its parent's threads, and perhaps a lock that nobody will open again: so it makes a
/// pool of its own, never waits for the lock, and leaves the other pool as it is.
fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    check_threads(threads)?;
    let process = std::process::id();
    let mut kept = POOL.try_lock().ok();
    if let Some(Some((of, size, pool))) = kept.as_deref()
        && (*of, *size) == (process, threads)
    {
        return Ok(pool.clone());
    }
    let made = ThreadPoolBuilder::new().num_threads(threads).build();
    let made = Arc::new(made.map_err(|error| PyValueError::new_err(error.to_string()))?);
    if let Some(kept) = kept.as_deref_mut()
        && let Some((of, _, pool)) = kept.replace((process, threads, made.clone()))
        && of != process
    {
        std::mem::forget(pool);
    }
    Ok(made)
}

/// Without the interpreter lock, on that many threads; work on one item or two on this one, since to hand it over takes
/// as long as to do it.
fn released<R: Send>(py: Python<'_>, threads: usize, items: usize, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    if items < FEW {
        check_threads(threads)?;
        return Ok(py.detach(work));
    }
    let pool = pool(threads)?;
    Ok(py.detach(|| pool.install(work)))
}

/// What an iteration gives. A length is not asked for: it can be a lie.
struct Listed<T>(Vec<T>);

impl<'a, 'py, T> FromPyObject<'a, 'py> for Listed<T>
where
    T: for<'b> FromPyObject<'b, 'py>,
{
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let items = object.try_iter()?.map(|item| item?.extract().map_err(Into::into));
        Ok(Self(items.collect::<PyResult<_>>()?))
    }
}

impl<T> std::ops::Deref for Listed<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

type Points<'py> = Listed<PyRef<'py, G1>>;
type Points2<'py> = Listed<PyRef<'py, G2>>;
type Values<'py> = Listed<PyRef<'py, Gt>>;
type Buffers = Listed<PyBackedBytes>;

fn points(list: &[PyRef<'_, G1>]) -> Vec<blst_p1> {
    list.iter().map(|point| point.0).collect()
}

fn points2(list: &[PyRef<'_, G2>]) -> Vec<blst_p2> {
    list.iter().map(|point| point.point).collect()
}

fn wrapped(points: Vec<blst_p1>) -> Vec<G1> {
    points.into_iter().map(G1).collect()
}

fn wrapped2(points: Vec<blst_p2>) -> Vec<G2> {
    points.into_iter().map(|point| G2 { point, lines: None }).collect()
}

/// ValueError unless the buffer holds 32 bytes below the group order for each of `count` scalars.
fn scalars(buffer: &[u8], count: usize) -> PyResult<Vec<Scalar>> {
    if buffer.len() != count * SCALAR_BYTES {
        let message = format!("{count} scalars are {} bytes, not {}", count * SCALAR_BYTES, buffer.len());
        return Err(PyValueError::new_err(message));
    }
    buffer
        .chunks_exact(SCALAR_BYTES)
        .map(|chunk| {
            from_bytes(chunk.try_into().expect("chunks of 32 bytes"))
                .ok_or_else(|| PyValueError::new_err("a scalar is not below the group order"))
        })
        .collect()
}

fn pieces<const SIZE: usize>(buffer: &[u8]) -> PyResult<Vec<[u8; SIZE]>> {
    if !buffer.len().is_multiple_of(SIZE) {
        let message = format!("encodings have {SIZE} bytes each, and {} bytes are no multiple", buffer.len());
        return Err(PyValueError::new_err(message));
    }
    Ok(buffer.chunks_exact(SIZE).map(|chunk| chunk.try_into().expect("chunks of the size")).collect())
}

fn same_length(a: usize, b: usize) -> PyResult<()> {
    if a == b { Ok(()) } else { Err(PyValueError::new_err(format!("lists of unequal lengths: {a} and {b}"))) }
}

// --- which engine ---------------------------------------------------------------------------------------------------

#[pyfunction]
fn engines() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if ifma::is_supported() {
        return vec![Ifma::NAME, Portable::NAME];
    }
    vec![Portable::NAME]
}

#[pyfunction]
fn engine() -> &'static str {
    on_engine!(E => E::NAME)
}

/// For the whole process. ValueError unless it is one of `engines()`.
#[pyfunction]
fn use_engine(name: &str) -> PyResult<()> {
    if !engines().contains(&name) {
        return Err(PyValueError::new_err(format!("no engine {name:?} here: choose one of {:?}", engines())));
    }
    #[cfg(target_arch = "x86_64")]
    WITH_IFMA.store(name == Ifma::NAME, Ordering::Relaxed);
    Ok(())
}

// --- G1 and G2 ------------------------------------------------------------------------------------------------------

#[pyfunction]
fn g1_generator() -> G1 {
    G1(unsafe { *blst_p1_generator() })
}

#[pyfunction]
fn g2_generator() -> G2 {
    G2 { point: unsafe { *blst_p2_generator() }, lines: None }
}

#[pyfunction]
fn g1_identity() -> G1 {
    G1(blst_p1::default())
}

#[pyfunction]
fn g2_identity() -> G2 {
    G2 { point: blst_p2::default(), lines: None }
}

/// None for what is not canonical, on the curve, in the subgroup and apart from the identity.
#[pyfunction]
fn g1_decode(py: Python<'_>, buffer: &[u8], threads: usize) -> PyResult<Vec<Option<G1>>> {
    let encoded = pieces::<G1_BYTES>(buffer)?;
    let decoded = released(py, threads, encoded.len(), || on_engine_for!(encoded.len(), E => E::g1_decode(&encoded)))?;
    Ok(decoded.into_iter().map(|point| point.map(G1)).collect())
}

#[pyfunction]
fn g2_decode(py: Python<'_>, buffer: &[u8], threads: usize) -> PyResult<Vec<Option<G2>>> {
    let encoded = pieces::<G2_BYTES>(buffer)?;
    let decoded = released(py, threads, encoded.len(), || {
        in_parallel(encoded.len(), 1, |range| {
            let decode = |bytes: &[u8; G2_BYTES]| {
                let mut affine = blst_p2_affine::default();
                let valid = unsafe {
                    blst_p2_uncompress(&mut affine, bytes.as_ptr()) == BLST_ERROR::BLST_SUCCESS
                        && !blst_p2_affine_is_inf(&affine)
                        && blst_p2_affine_in_g2(&affine)
                };
                valid.then(|| blst!(blst_p2_from_affine(&affine) -> blst_p2))
            };
            encoded[range].iter().map(decode).collect()
        })
    })?;
    Ok(decoded.into_iter().map(|point| point.map(|point| G2 { point, lines: None })).collect())
}

macro_rules! group {
    ($kind:ident, $list:ident, $unwrap:ident, $wrap:ident, $raw:ty, $affine:ty, $size:expr,
     $encode:ident $to_affine:ident $compress:ident, $add:ident $blst_add:ident, $negate:ident $blst_negate:ident,
     $sum:ident, $equal:ident $blst_equal:ident, $multiply_one:ident $blst_multiply:ident,
     $hash:ident $blst_hash:ident) => {
        #[pyfunction]
        fn $encode<'py>(py: Python<'py>, list: $list<'py>) -> Bound<'py, PyBytes> {
            let points = $unwrap(&list);
            let mut buffer = vec![0; points.len() * $size];
            py.detach(|| {
                let mut affine = vec![<$affine>::default(); points.len()];
                if !points.is_empty() {
                    // Null ends the list of pointers, whose first points to all points in a row.
                    unsafe { $to_affine(affine.as_mut_ptr(), [points.as_ptr(), std::ptr::null()].as_ptr(), points.len()) };
                }
                for (bytes, point) in buffer.chunks_exact_mut($size).zip(&affine) {
                    unsafe { $compress(bytes.as_mut_ptr(), point) };
                }
            });
            PyBytes::new(py, &buffer)
        }

        #[pyfunction]
        fn $add(a: PyRef<'_, $kind>, b: PyRef<'_, $kind>) -> $kind {
            let sum = blst!($blst_add(&$unwrap(&[a])[0], &$unwrap(&[b])[0]) -> $raw);
            $wrap(vec![sum]).remove(0)
        }

        #[pyfunction]
        fn $negate(a: PyRef<'_, $kind>) -> $kind {
            let mut point = $unwrap(&[a])[0];
            unsafe { $blst_negate(&mut point, true) };
            $wrap(vec![point]).remove(0)
        }

        #[pyfunction]
        fn $sum(list: $list<'_>) -> $kind {
            let sum = $unwrap(&list).iter().fold(<$raw>::default(), |sum, point| blst!($blst_add(&sum, point) -> $raw));
            $wrap(vec![sum]).remove(0)
        }

        #[pyfunction]
        fn $equal(a: PyRef<'_, $kind>, b: PyRef<'_, $kind>) -> bool {
            unsafe { $blst_equal(&$unwrap(&[a])[0], &$unwrap(&[b])[0]) }
        }

        #[pyfunction]
        fn $multiply_one(a: PyRef<'_, $kind>, scalar: &[u8]) -> PyResult<$kind> {
            let scalar = scalars(scalar, 1)?[0];
            let (bytes, bits) = (to_little_endian(&scalar), bit_length(&scalar));
            let product = blst!($blst_multiply(&$unwrap(&[a])[0], bytes.as_ptr(), bits) -> $raw);
            Ok($wrap(vec![product]).remove(0))
        }

        /// RFC 9380, with SHA-256, SSWU and random oracles.
        #[pyfunction]
        fn $hash(py: Python<'_>, messages: Buffers, dst: &[u8], threads: usize) -> PyResult<Vec<$kind>> {
            let hashed = released(py, threads, messages.len(), || {
                in_parallel(messages.len(), 1, |range| {
                    let hash = |message: &PyBackedBytes| {
                        let (data, length) = (message.as_ptr(), message.len());
                        let nothing = std::ptr::null();
                        blst!($blst_hash(data, length, dst.as_ptr(), dst.len(), nothing, 0) -> $raw)
                    };
                    messages[range].iter().map(hash).collect()
                })
            })?;
            Ok($wrap(hashed))
        }
    };
}

group!(
    G1, Points, points, wrapped, blst_p1, blst_p1_affine, G1_BYTES,
    g1_encode blst_p1s_to_affine blst_p1_affine_compress, g1_add blst_p1_add_or_double, g1_negate blst_p1_cneg,
    g1_sum, g1_equal blst_p1_is_equal, g1_multiply_one blst_p1_mult, g1_hash blst_hash_to_g1
);
group!(
    G2, Points2, points2, wrapped2, blst_p2, blst_p2_affine, G2_BYTES,
    g2_encode blst_p2s_to_affine blst_p2_affine_compress, g2_add blst_p2_add_or_double, g2_negate blst_p2_cneg,
    g2_sum, g2_equal blst_p2_is_equal, g2_multiply_one blst_p2_mult, g2_hash blst_hash_to_g2
);

/// Each point by its own scalar.
#[pyfunction]
fn g1_multiply(py: Python<'_>, list: Points<'_>, buffer: &[u8], threads: usize) -> PyResult<Vec<G1>> {
    let (points, scalars) = (points(&list), scalars(buffer, list.len())?);
    Ok(wrapped(released(
        py,
        threads,
        points.len(),
        || on_engine_for!(points.len(), E => E::g1_store(&E::g1_multiply(&E::g1_load(&points), &scalars))),
    )?))
}

#[pyfunction]
fn g2_multiply(py: Python<'_>, list: Points2<'_>, buffer: &[u8], threads: usize) -> PyResult<Vec<G2>> {
    let (points, scalars) = (points2(&list), scalars(buffer, list.len())?);
    Ok(wrapped2(released(py, threads, points.len(), || {
        in_parallel(points.len(), 1, |range| {
            let product = |at: usize| {
                let bytes = to_little_endian(&scalars[at]);
                blst!(blst_p2_mult(&points[at], bytes.as_ptr(), bit_length(&scalars[at])) -> blst_p2)
            };
            range.map(product).collect()
        })
    })?))
}

/// For each row of scalars the sum over the first points of the list, as many as the row has.
#[pyfunction]
fn g1_msm(py: Python<'_>, list: Points<'_>, rows: Buffers, threads: usize) -> PyResult<Vec<G1>> {
    let (points, rows) = (points(&list), rows_of_scalars(&rows, list.len())?);
    Ok(wrapped(released(py, threads, rows.iter().map(Vec::len).sum(), || {
        let sum = |row: &Vec<Scalar>| on_engine!(E => E::g1_msm(&points[..row.len()], row));
        if let [row] = &rows[..] {
            return vec![sum(row)];
        }
        in_parallel(rows.len(), 1, |range| rows[range].iter().map(sum).collect())
    })?))
}

#[pyfunction]
fn g2_msm(py: Python<'_>, list: Points2<'_>, rows: Buffers, threads: usize) -> PyResult<Vec<G2>> {
    let (points, rows) = (points2(&list), rows_of_scalars(&rows, list.len())?);
    Ok(wrapped2(released(py, threads, rows.iter().map(Vec::len).sum(), || {
        let sum = |row: &Vec<Scalar>| {
            let part = |range: std::ops::Range<usize>| vec![pippenger_g2(&points[range.clone()], &row[range])];
            let parts = in_parallel(row.len(), 64, part);
            parts.iter().fold(blst_p2::default(), |sum, part| blst!(blst_p2_add_or_double(&sum, part) -> blst_p2))
        };
        in_parallel(rows.len(), 1, |range| rows[range].iter().map(sum).collect())
    })?))
}

fn rows_of_scalars(rows: &[PyBackedBytes], points: usize) -> PyResult<Vec<Vec<Scalar>>> {
    rows.iter()
        .map(|row| {
            let length = row.len() / SCALAR_BYTES;
            if length > points {
                return Err(PyValueError::new_err(format!("{length} scalars but {points} points")));
            }
            scalars(row, length)
        })
        .collect()
}

const WINDOW: usize = 8;
const WINDOWS: usize = 256 / WINDOW;

macro_rules! fixed_base {
    ($name:ident, $kind:ident, $raw:ty, $affine:ty, $unwrap:ident, $wrap:ident, $add:ident, $add_affine:ident,
     $to_affine:ident) => {
        /// The multiples of one point by every byte at every place.
        #[pyclass(frozen, module = "encmempool_native")]
        struct $name(Vec<$affine>);

        #[pymethods]
        impl $name {
            #[new]
            fn new(py: Python<'_>, point: PyRef<'_, $kind>) -> Self {
                let mut point = $unwrap(&[point])[0];
                py.detach(|| {
                    let mut multiples = Vec::with_capacity(WINDOWS << WINDOW);
                    for _ in 0..WINDOWS {
                        let mut multiple = <$raw>::default();
                        for _ in 0..1 << WINDOW {
                            multiples.push(multiple);
                            multiple = blst!($add(&multiple, &point) -> $raw);
                        }
                        point = multiple;
                    }
                    let mut affine = vec![<$affine>::default(); multiples.len()];
                    let list = [multiples.as_ptr(), std::ptr::null()];
                    // Null ends the list of pointers, whose first points to all multiples in a row.
                    unsafe { $to_affine(affine.as_mut_ptr(), list.as_ptr(), multiples.len()) };
                    Self(affine)
                })
            }

            fn multiply(&self, py: Python<'_>, buffer: &[u8], threads: usize) -> PyResult<Vec<$kind>> {
                let scalars = scalars(buffer, buffer.len() / SCALAR_BYTES)?;
                let product = |scalar: &Scalar| {
                    to_little_endian(scalar).iter().enumerate().fold(<$raw>::default(), |sum, (place, byte)| {
                        let multiple = &self.0[(place << WINDOW) + usize::from(*byte)];
                        blst!($add_affine(&sum, multiple) -> $raw)
                    })
                };
                let products = if let [scalar] = &scalars[..] {
                    vec![product(scalar)]
                } else {
                    let each = |range: std::ops::Range<usize>| scalars[range].iter().map(product).collect();
                    released(py, threads, scalars.len(), || in_parallel(scalars.len(), 1, each))?
                };
                Ok($wrap(products))
            }
        }
    };
}

fixed_base!(
    G1FixedBase,
    G1,
    blst_p1,
    blst_p1_affine,
    points,
    wrapped,
    blst_p1_add_or_double,
    blst_p1_add_or_double_affine,
    blst_p1s_to_affine
);
fixed_base!(
    G2FixedBase,
    G2,
    blst_p2,
    blst_p2_affine,
    points2,
    wrapped2,
    blst_p2_add_or_double,
    blst_p2_add_or_double_affine,
    blst_p2s_to_affine
);

// --- pairings and their values --------------------------------------------------------------------------------------

/// The same points with the lines of their Miller loops, 17 kilobytes each.
#[pyfunction]
fn g2_prepare(py: Python<'_>, list: Points2<'_>, threads: usize) -> PyResult<Vec<G2>> {
    let points = points2(&list);
    let lines: Vec<AnyLines> = released(
        py,
        threads,
        points.len(),
        || on_engine!(E => E::lines(&points).into_iter().map(<E as Kept>::kept).collect()),
    )?;
    Ok(points.into_iter().zip(lines).map(|(point, lines)| G2 { point, lines: Some(lines) }).collect())
}

/// One value for each product of pairings.
#[pyfunction]
fn pairings(py: Python<'_>, products: Listed<(Points<'_>, Points2<'_>)>, threads: usize) -> PyResult<Vec<Gt>> {
    let mut pairs = Vec::with_capacity(products.len());
    for (ps, qs) in products.iter() {
        same_length(ps.len(), qs.len())?;
        let qs: Vec<(blst_p2, Option<AnyLines>)> = qs.iter().map(|q| (q.point, q.lines.clone())).collect();
        pairs.push((points(ps), qs));
    }
    let size = pairs.iter().map(|(ps, _)| ps.len()).sum();
    let values = released(py, threads, size, || {
        if size < FEW {
            return pairs.iter().map(short_product).collect();
        }
        on_engine!(E => long_products::<E>(&pairs))
    })?;
    Ok(unfinished(values))
}

type Pairs = (Vec<blst_p1>, Vec<(blst_p2, Option<AnyLines>)>);

/// Too few pairs to fill lanes.
fn short_product((ps, qs): &Pairs) -> blst_fp12 {
    let terms = ps.iter().zip(qs).filter(|(p, (q, _))| !portable::p1_is_identity(p) && !portable::p2_is_identity(q));
    let product = terms.fold(portable::one(), |product, (p, (q, _))| {
        let (p, q) = (blst!(blst_p1_to_affine(p) -> blst_p1_affine), blst!(blst_p2_to_affine(q) -> blst_p2_affine));
        portable::times(&product, &blst!(blst_miller_loop(&q, &p) -> blst_fp12))
    });
    portable::easy_part(&product)
}

fn long_products<E: Kept>(products: &[Pairs]) -> Vec<blst_fp12> {
    let all = || products.iter().flat_map(|(_, qs)| qs);
    let missing = |lines: &Option<AnyLines>| lines.as_ref().and_then(E::lines_of).is_none();
    let bare: Vec<blst_p2> = all().filter(|(_, lines)| missing(lines)).map(|(point, _)| *point).collect();
    let made = E::lines(&bare);
    let mut made = made.iter();
    let mut with_lines = Vec::with_capacity(products.len());
    for (ps, qs) in products {
        let lines = qs.iter().map(|(_, lines)| match lines.as_ref().and_then(E::lines_of) {
            Some(lines) => lines,
            None => made.next().expect("lines were made for all that had none"),
        });
        with_lines.push(Product::<E> { points: E::g1_load(ps), lines: lines.collect() });
    }
    E::gt_store(&E::pairings(&with_lines))
}

fn unfinished(values: Vec<blst_fp12>) -> Vec<Gt> {
    values.into_iter().map(|value| Gt { value, finished: false }).collect()
}

/// All finished, or all as they are if none is.
fn aligned(py: Python<'_>, lists: [&Values<'_>; 2], threads: usize) -> PyResult<([Vec<blst_fp12>; 2], bool)> {
    let finished = lists.iter().any(|list| list.iter().any(|value| value.finished));
    if finished {
        return Ok(([finish(py, lists[0], threads)?, finish(py, lists[1], threads)?], true));
    }
    Ok((lists.map(|list| list.iter().map(|value| value.value).collect()), false))
}

fn finish(py: Python<'_>, list: &Values<'_>, threads: usize) -> PyResult<Vec<blst_fp12>> {
    let mut values: Vec<blst_fp12> = list.iter().map(|value| value.value).collect();
    let at: Vec<usize> = (0..list.len()).filter(|at| !list[*at].finished).collect();
    let pending: Vec<blst_fp12> = at.iter().map(|at| values[*at]).collect();
    if pending.is_empty() {
        return Ok(values);
    }
    let finished = released(
        py,
        threads,
        pending.len(),
        || on_engine_for!(pending.len(), E => E::gt_store(&E::gt_finish(&E::gt_load(&pending)))),
    )?;
    for (at, value) in at.into_iter().zip(finished) {
        values[at] = value;
    }
    Ok(values)
}

/// The same values, finished: for such as will be used often.
#[pyfunction]
fn gt_finish(py: Python<'_>, list: Values<'_>, threads: usize) -> PyResult<Vec<Gt>> {
    let values = finish(py, &list, threads)?;
    Ok(values.into_iter().map(|value| Gt { value, finished: true }).collect())
}

#[pyfunction]
fn gt_one() -> Gt {
    Gt { value: portable::one(), finished: false }
}

#[pyfunction]
fn gt_multiply(py: Python<'_>, a: Values<'_>, b: Values<'_>, threads: usize) -> PyResult<Vec<Gt>> {
    same_length(a.len(), b.len())?;
    let ([a, b], finished) = aligned(py, [&a, &b], threads)?;
    let products = released(py, threads, a.len(), || {
        in_parallel(a.len(), 16, |range| range.map(|at| portable::times(&a[at], &b[at])).collect())
    })?;
    Ok(products.into_iter().map(|value| Gt { value, finished }).collect())
}

#[pyfunction]
fn gt_invert(a: PyRef<'_, Gt>) -> Gt {
    Gt { value: portable::conjugated(&a.value), finished: a.finished }
}

/// Each value to its own power.
#[pyfunction]
fn gt_power(py: Python<'_>, list: Values<'_>, buffer: &[u8], threads: usize) -> PyResult<Vec<Gt>> {
    let exponents: Vec<Recoded> = scalars(buffer, list.len())?.iter().map(recode).collect();
    let ([values, _], finished) = aligned(py, [&list, &Listed(Vec::new())], threads)?;
    let powers = released(py, threads, values.len(), || {
        let exponents: Vec<&Recoded> = exponents.iter().collect();
        on_engine_for!(values.len(), E => E::gt_store(&E::gt_power(&E::gt_load(&values), &exponents)))
    })?;
    Ok(powers.into_iter().map(|value| Gt { value, finished }).collect())
}

/// The product of each value to its own power.
#[pyfunction]
fn gt_msm(py: Python<'_>, list: Values<'_>, buffer: &[u8], threads: usize) -> PyResult<Gt> {
    let powers = gt_power(py, list, buffer, threads)?;
    let finished = powers.iter().all(|power| power.finished);
    let values: Vec<blst_fp12> = powers.iter().map(|power| power.value).collect();
    let value = py.detach(|| values.iter().fold(portable::one(), |product, power| portable::times(&product, power)));
    Ok(Gt { value, finished })
}

#[pyfunction]
fn gt_equal(py: Python<'_>, a: PyRef<'_, Gt>, b: PyRef<'_, Gt>) -> bool {
    a.__eq__(py, &b)
}

fn same(a: &Gt, b: &Gt) -> bool {
    let finished = |a: &Gt| if a.finished { a.value } else { portable::hard_part(&a.value) };
    if a.finished || b.finished {
        return finished(a) == finished(b);
    }
    portable::hard_part(&portable::times(&a.value, &portable::conjugated(&b.value))) == portable::one()
}

/// 576 bytes each: the coefficients of w^0..w^5 over Fp2, each c0 then c1, 48 bytes big-endian.
#[pyfunction]
fn gt_encode<'py>(py: Python<'py>, list: Values<'py>, threads: usize) -> PyResult<Bound<'py, PyBytes>> {
    let mut buffer = vec![0; GT_BYTES * list.len()];
    let values = finish(py, &list, threads)?;
    py.detach(|| {
        for (bytes, value) in buffer.chunks_exact_mut(GT_BYTES).zip(&values) {
            for (k, bytes) in bytes.chunks_exact_mut(G1_BYTES).enumerate() {
                let coefficient = &value.fp6[k / 2 % 2].fp2[k / 4].fp[k % 2];
                unsafe { blst_bendian_from_fp(bytes.as_mut_ptr(), coefficient) };
            }
        }
    });
    Ok(PyBytes::new(py, &buffer))
}

// --- products with a Toeplitz matrix, and transforms ----------------------------------------------------------------

/// y_i = product over l of e(x_l, t_(l-i)), for one matrix and many vectors.
#[pyclass(frozen, module = "encmempool_native", name = "Toeplitz")]
struct ToeplitzMatrix(AnyToeplitz);

#[pymethods]
impl ToeplitzMatrix {
    /// From t_(1-n)..t_(n-1).
    #[new]
    fn new(py: Python<'_>, diagonals: Points2<'_>, threads: usize) -> PyResult<Self> {
        let points = points2(&diagonals);
        if points.len().is_multiple_of(2) || points.len() > LARGEST_TRANSFORM {
            return Err(PyValueError::new_err(format!("no Toeplitz matrix has {} diagonals", points.len())));
        }
        #[cfg(target_arch = "x86_64")]
        if WITH_IFMA.load(Ordering::Relaxed) {
            return Ok(Self(AnyToeplitz::Ifma(released(py, threads, MANY, || Toeplitz::new(&points))?)));
        }
        Ok(Self(AnyToeplitz::Portable(released(py, threads, MANY, || Toeplitz::new(&points))?)))
    }

    #[getter]
    fn size(&self) -> usize {
        match &self.0 {
            AnyToeplitz::Portable(matrix) => matrix.size(),
            #[cfg(target_arch = "x86_64")]
            AnyToeplitz::Ifma(matrix) => matrix.size(),
        }
    }

    fn multiply(&self, py: Python<'_>, vector: Points<'_>, threads: usize) -> PyResult<Vec<Gt>> {
        let points = points(&vector);
        if points.len() > self.size() {
            let message = format!("{} entries are too many for a matrix of size {}", points.len(), self.size());
            return Err(PyValueError::new_err(message));
        }
        Ok(unfinished(released(py, threads, MANY, || match &self.0 {
            AnyToeplitz::Portable(matrix) => matrix.multiply(&points),
            #[cfg(target_arch = "x86_64")]
            AnyToeplitz::Ifma(matrix) => Ifma::gt_store(&matrix.multiply(&points)),
        })?))
    }
}

fn transform(py: Python<'_>, size: usize) -> PyResult<Transform> {
    if !size.is_power_of_two() || size > LARGEST_TRANSFORM {
        let message = format!("a transform takes a power of two up to {LARGEST_TRANSFORM}, not {size} values");
        return Err(PyValueError::new_err(message));
    }
    Ok(py.detach(|| Transform::new(size)))
}

#[pyfunction]
fn fr_transform<'py>(py: Python<'py>, buffer: &[u8], inverse: bool) -> PyResult<Bound<'py, PyBytes>> {
    let values: Vec<Fr> = scalars(buffer, buffer.len() / SCALAR_BYTES)?.iter().map(Fr::new).collect();
    let transform = transform(py, values.len())?;
    let result = py.detach(|| transform.apply::<OfFr>(&values, inverse));
    let bytes = result.iter().flat_map(|value| {
        let mut bytes = to_little_endian(&value.scalar());
        bytes.reverse();
        bytes
    });
    Ok(PyBytes::new(py, &bytes.collect::<Vec<u8>>()))
}

#[pyfunction]
fn g1_transform(py: Python<'_>, list: Points<'_>, inverse: bool, threads: usize) -> PyResult<Vec<G1>> {
    let (points, transform) = (points(&list), transform(py, list.len())?);
    Ok(wrapped(released(
        py,
        threads,
        MANY,
        || on_engine!(E => E::g1_store(&transform.apply::<OfG1<E>>(&E::g1_load(&points), inverse))),
    )?))
}

#[pyfunction]
fn g2_transform(py: Python<'_>, list: Points2<'_>, inverse: bool, threads: usize) -> PyResult<Vec<G2>> {
    let (points, transform) = (points2(&list), transform(py, list.len())?);
    Ok(wrapped2(released(py, threads, MANY, || transform.apply::<OfG2>(&points, inverse))?))
}

#[pyfunction]
fn gt_transform(py: Python<'_>, list: Values<'_>, inverse: bool, threads: usize) -> PyResult<Vec<Gt>> {
    let ([values, _], finished) = aligned(py, [&list, &Listed(Vec::new())], threads)?;
    let transform = transform(py, values.len())?;
    let result = released(
        py,
        threads,
        MANY,
        || on_engine!(E => E::gt_store(&transform.apply::<OfGt<E>>(&E::gt_load(&values), inverse))),
    )?;
    Ok(result.into_iter().map(|value| Gt { value, finished }).collect())
}

#[pymodule]
fn encmempool_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("INTERFACE", INTERFACE)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<G1>()?;
    module.add_class::<G2>()?;
    module.add_class::<Gt>()?;
    module.add_class::<G1FixedBase>()?;
    module.add_class::<G2FixedBase>()?;
    module.add_class::<ToeplitzMatrix>()?;
    macro_rules! functions {
        ($($name:ident),* $(,)?) => { $(module.add_function(wrap_pyfunction!($name, module)?)?;)* };
    }
    functions!(
        engines,
        engine,
        use_engine,
        g1_generator,
        g1_identity,
        g1_decode,
        g1_encode,
        g1_add,
        g1_negate,
        g1_sum,
        g1_equal,
        g1_multiply_one,
        g1_multiply,
        g1_msm,
        g1_hash,
        g1_transform,
        g2_generator,
        g2_identity,
        g2_decode,
        g2_encode,
        g2_add,
        g2_negate,
        g2_sum,
        g2_equal,
        g2_multiply_one,
        g2_multiply,
        g2_msm,
        g2_hash,
        g2_transform,
        g2_prepare,
        pairings,
        gt_one,
        gt_finish,
        gt_multiply,
        gt_invert,
        gt_power,
        gt_msm,
        gt_equal,
        gt_encode,
        gt_transform,
        fr_transform,
    );
    Ok(())
}
