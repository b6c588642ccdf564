//! Every return code of PKCS#11 with its name and what is to be done about it: one table, walked by a test.

use cryptoki_sys as ck;

/// What helps against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The session is gone or dirty: open a new one, find the key again, try once more.
    Session,
    /// The login is gone: log in once, guarded by the latch, then try once more.
    Login,
    /// A handle is from another time: find the key again. If it cannot be found, the token is not what it was.
    Key,
    /// The device or the module is in trouble: a new session may help, else only a new process does.
    Reinit,
    /// The PIN was refused. Never tried again with the same PIN.
    Credentials,
    /// The token has no room now: shed load.
    Exhausted,
    /// The profile does not fit the module: trying again cannot help, changing the profile can.
    Profile,
    /// None of these: reported, and the session replaced.
    Fatal,
}

impl ErrorClass {
    /// The words that a profile's `[errors]` may use.
    pub(crate) fn from_profile(word: &str) -> Option<Self> {
        Some(match word {
            "retry-session" => Self::Session,
            "reinit" => Self::Reinit,
            "credentials" => Self::Credentials,
            "exhausted" => Self::Exhausted,
            "profile" => Self::Profile,
            "fatal" => Self::Fatal,
            _ => return None,
        })
    }

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Login => "login",
            Self::Key => "key",
            Self::Reinit => "reinit",
            Self::Credentials => "credentials",
            Self::Exhausted => "exhausted",
            Self::Profile => "profile",
            Self::Fatal => "fatal",
        }
    }
}

macro_rules! table {
    ($($class:ident: $($code:ident)*;)*) => {
        /// Code, name, class.
        pub(super) const TABLE: &[(ck::CK_RV, &str, ErrorClass)] = &[$($((ck::$code, stringify!($code), ErrorClass::$class),)*)*];
    };
}

table! {
    Session:
        CKR_SESSION_CLOSED CKR_SESSION_HANDLE_INVALID CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED
        CKR_FUNCTION_CANCELED CKR_CANCEL CKR_OPERATION_CANCEL_FAILED CKR_PENDING;
    Login:
        CKR_USER_NOT_LOGGED_IN;
    Key:
        CKR_OBJECT_HANDLE_INVALID CKR_KEY_HANDLE_INVALID CKR_KEY_CHANGED;
    Reinit:
        CKR_DEVICE_ERROR CKR_DEVICE_REMOVED CKR_TOKEN_NOT_PRESENT CKR_TOKEN_NOT_RECOGNIZED CKR_TOKEN_NOT_INITIALIZED
        CKR_GENERAL_ERROR CKR_FUNCTION_FAILED CKR_CRYPTOKI_NOT_INITIALIZED CKR_SLOT_ID_INVALID CKR_MUTEX_BAD
        CKR_MUTEX_NOT_LOCKED CKR_LIBRARY_LOAD_FAILED CKR_FIPS_SELF_TEST_FAILED;
    Credentials:
        CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PIN_EXPIRED CKR_PIN_LOCKED CKR_PIN_TOO_WEAK
        CKR_NEW_PIN_MODE CKR_NEXT_OTP CKR_USER_PIN_NOT_INITIALIZED CKR_USER_TYPE_INVALID;
    Exhausted:
        CKR_HOST_MEMORY CKR_DEVICE_MEMORY CKR_SESSION_COUNT CKR_TOKEN_RESOURCE_EXCEEDED;
    Profile:
        CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID CKR_KEY_TYPE_INCONSISTENT CKR_KEY_SIZE_RANGE
        CKR_KEY_FUNCTION_NOT_PERMITTED CKR_DATA_LEN_RANGE CKR_DATA_INVALID CKR_BUFFER_TOO_SMALL
        CKR_ATTRIBUTE_READ_ONLY CKR_ATTRIBUTE_TYPE_INVALID CKR_ATTRIBUTE_VALUE_INVALID CKR_TEMPLATE_INCOMPLETE
        CKR_TEMPLATE_INCONSISTENT CKR_CURVE_NOT_SUPPORTED CKR_DOMAIN_PARAMS_INVALID CKR_PARAMETER_SET_NOT_SUPPORTED
        CKR_FUNCTION_NOT_SUPPORTED;
    Fatal:
        CKR_ARGUMENTS_BAD CKR_NO_EVENT CKR_NEED_TO_CREATE_THREADS CKR_CANT_LOCK CKR_ATTRIBUTE_SENSITIVE
        CKR_ACTION_PROHIBITED CKR_ENCRYPTED_DATA_INVALID CKR_ENCRYPTED_DATA_LEN_RANGE CKR_AEAD_DECRYPT_FAILED
        CKR_FUNCTION_NOT_PARALLEL CKR_KEY_NOT_NEEDED CKR_KEY_NEEDED CKR_KEY_INDIGESTIBLE CKR_KEY_NOT_WRAPPABLE
        CKR_KEY_UNEXTRACTABLE CKR_KEY_EXHAUSTED CKR_PUBLIC_KEY_INVALID CKR_SESSION_PARALLEL_NOT_SUPPORTED
        CKR_SESSION_READ_ONLY CKR_SESSION_EXISTS CKR_SESSION_READ_ONLY_EXISTS CKR_SESSION_READ_WRITE_SO_EXISTS
        CKR_SESSION_ASYNC_NOT_SUPPORTED CKR_SIGNATURE_INVALID CKR_SIGNATURE_LEN_RANGE CKR_TOKEN_WRITE_PROTECTED
        CKR_UNWRAPPING_KEY_HANDLE_INVALID CKR_UNWRAPPING_KEY_SIZE_RANGE CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT
        CKR_USER_ALREADY_LOGGED_IN CKR_USER_ANOTHER_ALREADY_LOGGED_IN CKR_USER_TOO_MANY_TYPES
        CKR_WRAPPED_KEY_INVALID CKR_WRAPPED_KEY_LEN_RANGE CKR_WRAPPING_KEY_HANDLE_INVALID
        CKR_WRAPPING_KEY_SIZE_RANGE CKR_WRAPPING_KEY_TYPE_INCONSISTENT CKR_RANDOM_SEED_NOT_SUPPORTED
        CKR_RANDOM_NO_RNG CKR_SEED_RANDOM_REQUIRED CKR_SAVED_STATE_INVALID CKR_INFORMATION_SENSITIVE
        CKR_STATE_UNSAVEABLE CKR_CRYPTOKI_ALREADY_INITIALIZED CKR_EXCEEDED_MAX_ITERATIONS CKR_FUNCTION_REJECTED
        CKR_OPERATION_NOT_VALIDATED;
}

/// The standard's name of a code, or its number.
pub fn code_name(code: u64) -> String {
    match TABLE.iter().find(|(known, ..)| *known == code) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("{code:#x}"),
    }
}

/// The code with this name.
pub(crate) fn code_from_name(name: &str) -> Option<u64> {
    TABLE.iter().find(|(_, known, _)| *known == name).map(|(code, ..)| *code)
}

/// The class of a code for which the profile says nothing. Codes that the standard does not know, vendors' own
/// included, are mostly about the device or the line to it.
pub fn default_class(code: u64) -> ErrorClass {
    TABLE.iter().find(|(known, ..)| *known == code).map_or(ErrorClass::Reinit, |(.., class)| *class)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_stands_in_the_table_once() {
        let codes: HashSet<_> = TABLE.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes.len(), TABLE.len());
        // CKR_OK and CKR_VENDOR_DEFINED are no errors of their own.
        assert_eq!(TABLE.len(), 103);
    }

    #[test]
    fn names_and_codes_find_each_other() {
        for (code, name, class) in TABLE {
            assert_eq!(code_from_name(name), Some(*code));
            assert_eq!(code_name(*code), *name);
            assert_eq!(default_class(*code), *class);
        }
        assert_eq!(code_name(0x8000_0384), "0x80000384");
        assert_eq!(default_class(0x8000_0384), ErrorClass::Reinit);
    }

    #[test]
    fn a_refused_pin_is_never_a_reason_to_try_again() {
        for (_, name, class) in TABLE.iter().filter(|(_, name, _)| name.starts_with("CKR_PIN_")) {
            assert_eq!(*class, ErrorClass::Credentials, "{name}");
        }
    }
}
