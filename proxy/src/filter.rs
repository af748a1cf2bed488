//! The filters a request passes, one file each.
