//! Opens a library and compares its layout with ours.

use std::fmt;
use std::mem::forget;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::library::{AbiHeaderRef, IsLayoutChecked, LibHeader};
use abi_stable::std_types::RStr;
use libloading::os::unix;

use super::{HostServices, Provider, mismatch, services};
use crate::layout::ModuleVtableRef;
use crate::{ABI_MAJOR, ABI_MINOR, CallError, ENTRY_SYMBOL};

/// An open library. There is no way to close one.
#[derive(Clone)]
pub struct Library {
    module: ModuleVtableRef,
    abi: (u16, u16),
}

/// Why a library was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The dynamic linker refuses it: a missing library, an undefined symbol.
    Load {
        /// Which file.
        path: PathBuf,
        /// The linker's own words.
        source: libloading::Error,
    },
    /// It has no entry of ours.
    NoEntry {
        /// Which file.
        path: PathBuf,
    },
    /// Its entry was made by another way of making entries.
    Header {
        /// One line.
        message: String,
    },
    /// Its functions or structs differ from ours.
    Layout {
        /// The interface's version in the library.
        found: String,
        /// One line that names the field.
        message: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { path, source } => {
                let cause = std::error::Error::source(source).map(ToString::to_string);
                let cause = cause.unwrap_or_else(|| source.to_string());
                write!(f, "cannot load {}: {cause}", path.display())
            }
            Self::NoEntry { path } => write!(
                f,
                "{} has no symbol {ENTRY_SYMBOL}; expected a provider exported by export_provider!",
                path.display()
            ),
            Self::Header { message } => {
                write!(
                    f,
                    "the library's entry cannot be read: {message}; build it against version {ABI_MAJOR}.x of the plugin interface"
                )
            }
            Self::Layout { found, message } => write!(
                f,
                "the library's interface {found} differs from the host's {ABI_MAJOR}.{ABI_MINOR} at {message}"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl Library {
    /// Loads a library for good and compares its layout with ours. Its constructors run, so probe
    /// it elsewhere first; the same path or inode gives the library of before.
    ///
    /// # Errors
    /// What is wrong with it. It stays loaded even so.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // Without a slash the linker would look in its own folders.
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let load = |source| OpenError::Load {
            path: path.to_owned(),
            source,
        };
        // SAFETY: the caller has decided to run this library; nothing of it is looked at before
        // its layout has been compared.
        let library = unsafe { unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL) }
            .map_err(load)?;
        // SAFETY: the symbol is a static that begins with an `AbiHeader`, and `AbiHeaderRef` is
        // its address; `upgrade` looks at no more than that before it knows the rest.
        let entry = unsafe { library.get::<AbiHeaderRef>(ENTRY_SYMBOL.as_bytes()) }
            .map(|symbol| *symbol)
            .map_err(|_| OpenError::NoEntry {
                path: path.to_owned(),
            });
        forget(library);
        let header = entry?.upgrade().map_err(|error| OpenError::Header {
            message: error.to_string().replace('\n', " "),
        })?;
        Self::from_header(header)
    }

    /// A library that is linked into this program: for tests and measurements.
    ///
    /// # Errors
    /// As of [`Library::open`].
    pub fn from_header(header: &'static LibHeader) -> Result<Self, OpenError> {
        let found = header.version_strings().version.as_str();
        let layout_error = |message| OpenError::Layout {
            found: found.to_owned(),
            message,
        };
        let IsLayoutChecked::Yes(layout) = header.root_mod_consts().layout() else {
            return Err(layout_error(
                "module: it says nothing of its layout".to_owned(),
            ));
        };
        mismatch::compare(<ModuleVtableRef as StableAbi>::LAYOUT, layout).map_err(layout_error)?;
        // SAFETY: the layouts have just been found to agree.
        let module = unsafe { header.init_root_module_with_unchecked_layout::<ModuleVtableRef>() }
            .map_err(|error| layout_error(error.to_string().replace('\n', " ")))?;
        Ok(Self {
            module,
            abi: parse_abi(found),
        })
    }

    /// Major and minor version of the interface in the library.
    #[must_use]
    pub fn abi(&self) -> (u16, u16) {
        self.abi
    }

    /// Opens a provider, as often as one likes.
    ///
    /// # Errors
    /// What the provider says against its setup, or that it panicked.
    pub fn create(
        &self,
        services: Arc<dyn HostServices>,
        setup_json: &str,
    ) -> Result<Provider, CallError> {
        let services = services::into_wire(services);
        match self.module.create()(services, RStr::from_str(setup_json)).into_result() {
            Ok(provider) => Ok(Provider::new(provider, self.abi)),
            Err(error) => Err(CallError::from(error)),
        }
    }
}

fn parse_abi(version: &str) -> (u16, u16) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
