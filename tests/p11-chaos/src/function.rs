//! The functions of PKCS#11 v2.40, in the order of its function list.

use std::fmt;

/// Gives the names to another macro.
macro_rules! every_function {
    ($macro:ident) => {
        $macro! {
            C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo
            C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession
            C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout C_CreateObject
            C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue C_FindObjectsInit
            C_FindObjects C_FindObjectsFinal C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal C_DecryptInit
            C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest C_DigestUpdate C_DigestKey C_DigestFinal
            C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover C_VerifyInit C_Verify
            C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover C_DigestEncryptUpdate
            C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey C_GenerateKeyPair C_WrapKey
            C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus C_CancelFunction
            C_WaitForSlotEvent
        }
    };
}
pub(crate) use every_function;

macro_rules! functions {
    ($($name:ident)*) => {
        /// A function of the list.
        #[allow(non_camel_case_types)] // the standard's names
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Function { $($name),* }

        impl Function {
            /// All of them, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Such as `C_Sign`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

every_function!(functions);

impl Function {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// Whether it reaches a token: by a slot or by a session.
    pub const fn reaches_token(self) -> bool {
        !matches!(
            self,
            Self::C_Initialize
                | Self::C_Finalize
                | Self::C_GetInfo
                | Self::C_GetFunctionList
                | Self::C_GetSlotList
                | Self::C_GetSlotInfo
                | Self::C_WaitForSlotEvent
        )
    }

    /// Whether it takes a session, which then is its first argument.
    pub const fn takes_session(self) -> bool {
        self.reaches_token()
            && !matches!(
                self,
                Self::C_GetTokenInfo
                    | Self::C_GetMechanismList
                    | Self::C_GetMechanismInfo
                    | Self::C_InitToken
                    | Self::C_OpenSession
                    | Self::C_CloseAllSessions
            )
    }

    /// Whether it gives octets whose spoiling matters: a signature or a plaintext.
    pub const fn gives_octets(self) -> bool {
        matches!(self, Self::C_Sign | Self::C_SignFinal | Self::C_Decrypt)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_68_and_each_is_found_by_its_name_and_by_its_number() {
        assert_eq!(Function::ALL.len(), 68);
        for (number, function) in Function::ALL.iter().enumerate() {
            assert_eq!(*function as usize, number);
            assert_eq!(Function::from_name(function.name()), Some(*function));
        }
        assert_eq!(Function::from_name("C_Sing"), None);
    }
}
