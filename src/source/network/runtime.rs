//! The threads of the network. Nothing asynchronous is seen outside of `source`.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::task::AbortHandle;

/// A runtime with two worker threads that can be dropped anywhere, also while a name is being looked up.
#[derive(Debug)]
pub(in crate::source) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    pub(in crate::source) fn start() -> io::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("network")
            .enable_all()
            .build()?;
        Ok(Arc::new(Self(Some(runtime))))
    }

    /// Waits for `future` on the calling thread, which must not be one of the runtime's.
    pub(in crate::source) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.inner().block_on(future)
    }

    pub(in crate::source) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.inner().spawn(future).abort_handle()
    }

    fn inner(&self) -> &tokio::runtime::Runtime {
        self.0.as_ref().expect("taken in drop only")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
