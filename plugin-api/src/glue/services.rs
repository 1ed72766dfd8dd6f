//! The host behind the boundary, as [`crate::host::Services`].

use trigger_plugin_abi::plugin::Services as WireServices;

use crate::host::{BoxFuture, Level, Services};
use crate::{Error, Result};

/// The host that opened this provider.
pub(super) struct WireHost(pub(super) WireServices);

impl Services for WireHost {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.0.random(bytes);
    }

    fn log(&self, level: Level, target: &str, message: &str) {
        self.0.log(level, target, message);
    }

    fn call(&self, op: &str, json: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>>> {
        let call = self.0.call(op, json);
        Box::pin(async move { call.await.map_err(Error::from) })
    }
}
