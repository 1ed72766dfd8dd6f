//! The flags of `serve` and `check`, and the settings that come of them.

use std::path::PathBuf;

use clap::Args;

use crate::config::Layers;

#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// The address to serve on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// The directory of database, keys, plugin cache and admin token [default: /var/lib/triggerd].
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// The directory of provider libraries [default: plugins in the data directory].
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<String>,
    /// The directory of manifests [default: manifests in the data directory].
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<String>,
    /// A directory whose programs runnables may run; repeatable.
    #[arg(long = "command-dir", value_name = "DIR")]
    pub command_dirs: Vec<String>,
    /// The settings file; `triggerd config` prints one with every setting.
    #[arg(long, env = "TRIGGERD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Serve {
    /// The layers of settings with these flags on top.
    pub fn layers(&self) -> Layers {
        self.layers_over(std::env::vars_os())
    }

    fn layers_over(
        &self,
        environment: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Layers {
        let readable = environment
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let single = [
            ("listen", &self.listen),
            ("data", &self.data),
            ("plugins", &self.plugins),
            ("manifests", &self.manifests),
        ];
        let mut flags: Vec<(&'static str, Vec<String>)> = single
            .into_iter()
            .filter_map(|(key, value)| Some((key, vec![value.clone()?])))
            .collect();
        if !self.command_dirs.is_empty() {
            flags.push(("runnables.command_dirs", self.command_dirs.clone()));
        }
        Layers {
            file: self.config.clone(),
            variables: readable.collect(),
            flags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn flags_become_settings() {
        let args = Serve {
            listen: Some("127.0.0.1:0".into()),
            data: Some("/d".into()),
            command_dirs: vec!["/a".into(), "/b".into()],
            ..Serve::default()
        };
        let config = load(&args.layers_over(std::iter::empty())).expect("valid");
        assert_eq!(config.server.listen.port(), 0);
        assert_eq!(config.plugins_dir(), PathBuf::from("/d/plugins"));
        assert_eq!(
            config.runnables.command_dirs,
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
    }
}
