//! Every return code of PKCS#11 with its name and what is done about it: one table, walked by a test, and the only thing that
//! the worker's recovery goes by. A profile's `[errors]` changes lines of it for its family, and adds the vendor's own codes.

use cryptoki_sys as ck;

/// What is done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remedy {
    /// The session is gone or dirty: the same on a new session.
    NewSession,
    /// A handle is from another time: the same on a new session, the key found again.
    FindKey,
    /// The login is gone: the same on a new session, after one login behind the latch.
    LogIn,
    /// Device or module are in trouble. On a new session first, since some modules say so of one session only; if that
    /// fails too, `C_Finalize` and `C_Initialize`, every key proven again, and once more.
    Reinitialise,
    /// The module is beyond what it can mend itself: the worker ends and is started again.
    Respawn,
    /// This token has no room now: another one that has the key, and with none the answer is "busy".
    NextToken,
    /// The profile does not fit the module: refused, and the answer names the profile's key to change.
    Profile,
    /// Refused. Another try would end the same way.
    Fail,
    /// The PIN was refused: never tried again, and the worker ends for good.
    NeverRetry,
}

impl Remedy {
    pub const ALL: [Self; 9] = [
        Self::NewSession,
        Self::FindKey,
        Self::LogIn,
        Self::Reinitialise,
        Self::Respawn,
        Self::NextToken,
        Self::Profile,
        Self::Fail,
        Self::NeverRetry,
    ];

    /// The word that a profile's `[errors]` uses; also a stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewSession => "new-session",
            Self::FindKey => "find-key",
            Self::LogIn => "log-in",
            Self::Reinitialise => "reinitialise",
            Self::Respawn => "respawn",
            Self::NextToken => "next-token",
            Self::Profile => "profile",
            Self::Fail => "fail",
            Self::NeverRetry => "never-retry",
        }
    }

    /// The remedy with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|remedy| remedy.as_str() == word)
    }

    /// Whether the same piece of work is tried again within its request.
    pub const fn tries_again(self) -> bool {
        matches!(self, Self::NewSession | Self::FindKey | Self::LogIn | Self::Reinitialise)
    }
}

/// What a code tells beside its remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The session's handle is not ours any more: closing it could close somebody else's.
    SessionDead,
    /// Given before a token looks at a PIN. Every other failure of `C_Login` may have cost a try.
    PinUnseen,
    /// From the function that was handed octets to open: they are at fault, not the device.
    OctetsBad,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) code: ck::CK_RV,
    pub(super) name: &'static str,
    pub(super) remedy: Remedy,
    marks: &'static [Mark],
}

macro_rules! table {
    ($($remedy:ident: $($code:ident $([$($mark:ident)*])?)*;)*) => {
        pub(super) const TABLE: &[Row] = &[$($(Row {
            code: ck::$code,
            name: stringify!($code),
            remedy: Remedy::$remedy,
            marks: &[$($(Mark::$mark),*)?],
        },)*)*];
    };
}

table! {
    NewSession:
        CKR_SESSION_CLOSED [SessionDead PinUnseen] CKR_SESSION_HANDLE_INVALID [SessionDead PinUnseen]
        CKR_OPERATION_ACTIVE [PinUnseen] CKR_OPERATION_NOT_INITIALIZED CKR_FUNCTION_CANCELED CKR_CANCEL
        CKR_OPERATION_CANCEL_FAILED CKR_PENDING;
    FindKey:
        CKR_OBJECT_HANDLE_INVALID CKR_KEY_HANDLE_INVALID CKR_KEY_CHANGED CKR_UNWRAPPING_KEY_HANDLE_INVALID
        CKR_WRAPPING_KEY_HANDLE_INVALID;
    LogIn:
        CKR_USER_NOT_LOGGED_IN;
    Reinitialise:
        CKR_DEVICE_ERROR CKR_DEVICE_REMOVED [SessionDead PinUnseen] CKR_TOKEN_NOT_PRESENT [SessionDead PinUnseen]
        CKR_TOKEN_NOT_RECOGNIZED [PinUnseen] CKR_TOKEN_NOT_INITIALIZED CKR_GENERAL_ERROR CKR_FUNCTION_FAILED
        CKR_CRYPTOKI_NOT_INITIALIZED [SessionDead PinUnseen] CKR_SLOT_ID_INVALID [PinUnseen]
        CKR_USER_ANOTHER_ALREADY_LOGGED_IN [PinUnseen] CKR_USER_TOO_MANY_TYPES [PinUnseen];
    Respawn:
        CKR_MUTEX_BAD CKR_MUTEX_NOT_LOCKED CKR_LIBRARY_LOAD_FAILED CKR_FIPS_SELF_TEST_FAILED
        CKR_CRYPTOKI_ALREADY_INITIALIZED;
    NextToken:
        CKR_HOST_MEMORY [PinUnseen] CKR_DEVICE_MEMORY [PinUnseen] CKR_SESSION_COUNT CKR_TOKEN_RESOURCE_EXCEEDED;
    Profile:
        CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID CKR_KEY_TYPE_INCONSISTENT CKR_KEY_SIZE_RANGE
        CKR_KEY_FUNCTION_NOT_PERMITTED CKR_DATA_LEN_RANGE [OctetsBad] CKR_DATA_INVALID [OctetsBad]
        CKR_BUFFER_TOO_SMALL [OctetsBad] CKR_ATTRIBUTE_READ_ONLY CKR_ATTRIBUTE_TYPE_INVALID
        CKR_ATTRIBUTE_VALUE_INVALID CKR_TEMPLATE_INCOMPLETE CKR_TEMPLATE_INCONSISTENT CKR_CURVE_NOT_SUPPORTED
        CKR_DOMAIN_PARAMS_INVALID CKR_PARAMETER_SET_NOT_SUPPORTED CKR_FUNCTION_NOT_SUPPORTED [PinUnseen];
    Fail:
        CKR_ARGUMENTS_BAD [PinUnseen OctetsBad] CKR_NO_EVENT CKR_NEED_TO_CREATE_THREADS CKR_CANT_LOCK
        CKR_ATTRIBUTE_SENSITIVE CKR_ACTION_PROHIBITED CKR_ENCRYPTED_DATA_INVALID [OctetsBad]
        CKR_ENCRYPTED_DATA_LEN_RANGE [OctetsBad] CKR_AEAD_DECRYPT_FAILED CKR_FUNCTION_NOT_PARALLEL CKR_KEY_NOT_NEEDED
        CKR_KEY_NEEDED CKR_KEY_INDIGESTIBLE CKR_KEY_NOT_WRAPPABLE CKR_KEY_UNEXTRACTABLE CKR_KEY_EXHAUSTED
        CKR_PUBLIC_KEY_INVALID CKR_SESSION_PARALLEL_NOT_SUPPORTED CKR_SESSION_READ_ONLY CKR_SESSION_EXISTS
        CKR_SESSION_READ_ONLY_EXISTS CKR_SESSION_READ_WRITE_SO_EXISTS CKR_SESSION_ASYNC_NOT_SUPPORTED
        CKR_SIGNATURE_INVALID CKR_SIGNATURE_LEN_RANGE CKR_TOKEN_WRITE_PROTECTED CKR_UNWRAPPING_KEY_SIZE_RANGE
        CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT CKR_USER_ALREADY_LOGGED_IN [PinUnseen]
        CKR_WRAPPED_KEY_INVALID [OctetsBad] CKR_WRAPPED_KEY_LEN_RANGE [OctetsBad] CKR_WRAPPING_KEY_SIZE_RANGE
        CKR_WRAPPING_KEY_TYPE_INCONSISTENT CKR_RANDOM_SEED_NOT_SUPPORTED CKR_RANDOM_NO_RNG CKR_SEED_RANDOM_REQUIRED
        CKR_SAVED_STATE_INVALID CKR_INFORMATION_SENSITIVE CKR_STATE_UNSAVEABLE CKR_EXCEEDED_MAX_ITERATIONS
        CKR_FUNCTION_REJECTED CKR_OPERATION_NOT_VALIDATED;
    NeverRetry:
        CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PIN_EXPIRED CKR_PIN_LOCKED CKR_PIN_TOO_WEAK
        CKR_NEW_PIN_MODE CKR_NEXT_OTP CKR_USER_PIN_NOT_INITIALIZED CKR_USER_TYPE_INVALID;
}

fn row(code: u64) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}

/// The standard's name of a code, or its number.
pub fn code_name(code: u64) -> String {
    row(code).map_or_else(|| format!("{code:#x}"), |row| row.name.to_owned())
}

/// All codes of the standard with their names and remedies.
pub fn return_codes() -> impl Iterator<Item = (u64, &'static str, Remedy)> {
    TABLE.iter().map(|row| (row.code, row.name, row.remedy))
}

/// The code with this name.
pub(crate) fn code_from_name(name: &str) -> Option<u64> {
    TABLE.iter().find(|row| row.name == name).map(|row| row.code)
}

/// The remedy for a code of which the profile says nothing. Codes that the standard does not know, vendors' own included, are
/// mostly about the device or the line to it; and as no PIN is tried for them again, the guess is safe.
pub fn default_remedy(code: u64) -> Remedy {
    row(code).map_or(Remedy::Reinitialise, |row| row.remedy)
}

/// Whether a code has this mark. One that the standard does not know has none: its session is closed, its PIN may have been
/// tried, and the octets are not blamed.
pub(crate) fn is_marked(code: u64, mark: Mark) -> bool {
    row(code).is_some_and(|row| row.marks.contains(&mark))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_stands_in_the_table_once() {
        let codes: HashSet<_> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
        // CKR_OK and CKR_VENDOR_DEFINED are no errors of their own.
        assert_eq!(TABLE.len(), 103);
    }

    #[test]
    fn names_and_codes_find_each_other() {
        for row in TABLE {
            assert_eq!(code_from_name(row.name), Some(row.code));
            assert_eq!(code_name(row.code), row.name);
            assert_eq!(default_remedy(row.code), row.remedy);
        }
        assert_eq!(code_name(0x8000_0384), "0x80000384");
    }

    #[test]
    fn a_code_that_nobody_knows_is_treated_as_a_lost_device_that_may_have_seen_the_pin() {
        for code in [0x8000_0384, 0x777, u64::MAX] {
            assert_eq!(default_remedy(code), Remedy::Reinitialise);
            for mark in [Mark::SessionDead, Mark::PinUnseen, Mark::OctetsBad] {
                assert!(!is_marked(code, mark));
            }
        }
    }

    #[test]
    fn every_remedy_has_its_word_and_is_used() {
        for remedy in Remedy::ALL {
            assert_eq!(Remedy::from_word(remedy.as_str()), Some(remedy));
            assert!(TABLE.iter().any(|row| row.remedy == remedy), "{remedy:?}");
        }
        assert_eq!(Remedy::from_word("retry-for-ever"), None);
    }

    #[test]
    fn a_refused_pin_is_never_a_reason_to_try_again() {
        for row in TABLE.iter().filter(|row| row.name.starts_with("CKR_PIN_")) {
            assert_eq!(row.remedy, Remedy::NeverRetry, "{}", row.name);
        }
        for row in TABLE.iter().filter(|row| row.remedy == Remedy::NeverRetry) {
            assert!(!row.remedy.tries_again() && !is_marked(row.code, Mark::PinUnseen), "{}", row.name);
        }
    }
}
