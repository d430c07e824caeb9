//! A healthy job beside hostile ones in the same process and runtime is not disturbed.

use std::time::{Duration, Instant};

use crate::job::{Arrived, job, operator, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_job_succeeds_while_others_fail() {
    let hostile = ["spin", "spin", "allocate", "recurse", "panic"].map(|deed| tokio::spawn(run(deed)));
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let arrived = Arrived::default();
        let job = job(operator("nothing").unwrap(), arrived.clone(), &folder.path().join("state"));
        let since = Instant::now();
        wasmill_engine::start(job).await.unwrap().wait().await.unwrap();
        assert_eq!(arrived.rows(), 10);
        assert!(since.elapsed() < Duration::from_secs(10), "starved by its neighbours");
    }
    for run in hostile {
        assert!(run.await.unwrap().0.is_err());
    }
}
