//! Opening a log of many segments, for reading and for writing; beside bare calls that open as many
//! files, read two pages and the last one, and close them. `--bin opening` has more of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use factlog_bench::directory;
use factlog_bench::opening::{bare_segments, forged, open, options};

fn opening(c: &mut Criterion) {
    let within = directory();
    let mut group = c.benchmark_group("open");
    for segments in [10, 100, 1_000] {
        let log = forged(within.path(), segments, 0);
        let path = log.path();
        group.throughput(Throughput::Elements(segments.into()));
        group.bench_function(BenchmarkId::new("reading", segments), |bencher| {
            bencher.iter_with_large_drop(|| options().open_read_only(path).expect("it opens"));
        });
        group.bench_function(BenchmarkId::new("writing", segments), |bencher| {
            bencher.iter_custom(|count| {
                let mut took = Duration::ZERO;
                for _ in 0..count {
                    let began = Instant::now();
                    let writer = open(path);
                    took += began.elapsed();
                    // It syncs, and is not measured.
                    writer.close().expect("closed");
                }
                took
            });
        });
        group.bench_function(BenchmarkId::new("bare", segments), |bencher| {
            bencher.iter(|| black_box(bare_segments(path, segments).expect("readable")));
        });
    }
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! { name = benches; config = config(); targets = opening }
criterion_main!(benches);
