//! The unified social credit code by which an entity is registered (GB 32100-2015): 18 characters.

use crate::check::{gb_11714, mod_31};

/// Why text is no unified social credit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreditCodeError {
    #[error("a unified social credit code has 18 characters of 0-9 and A-Z without I, O, S, V and Z (GB 32100-2015)")]
    Form,
    #[error("the last character is not the check character of the others (GB 32100-2015, modulo 31)")]
    CheckCharacter,
    #[error("characters 9 to 17 are no organization code: the check character is wrong (GB 11714-1997)")]
    OrganizationCode,
}

/// Judges a code: its alphabet, its own check character, and that of the organization code within. Whether anybody is registered
/// under it, it does not say.
pub fn check_credit_code(code: &str) -> Result<(), CreditCodeError> {
    let octets = code.as_bytes();
    let (body, check) = octets.split_at_checked(17).ok_or(CreditCodeError::Form)?;
    // Characters 3 to 8 are the authority's administrative division.
    if check.len() != 1 || mod_31(check).is_none() || !body[2..8].iter().all(u8::is_ascii_digit) {
        return Err(CreditCodeError::Form);
    }
    if mod_31(body).ok_or(CreditCodeError::Form)? != check[0] {
        return Err(CreditCodeError::CheckCharacter);
    }
    if gb_11714(&body[8..16]) != body[16] {
        return Err(CreditCodeError::OrganizationCode);
    }
    Ok(())
}
