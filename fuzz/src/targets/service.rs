//! The controller's message about a service.

use data_plane::control::cluster::service_message;
use policy::resources::{ServiceDescription, ServiceEntry};

/// Whatever comes is refused with words, or is a ServiceEntry that is accepted when it is described and checked again.
pub fn service(data: &[u8]) {
    match service_message::read(data, "postern-system") {
        Ok(entry) => {
            let described = ServiceDescription::from(&entry);
            let again = ServiceEntry::checked(&described, "postern-system");
            assert!(again.is_ok(), "{described:?}: {again:?}");
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
