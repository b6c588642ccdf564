//! The few ways in which octets cross the boundary.

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_PTR, CK_BYTE, CK_MECHANISM_PTR, CK_ULONG, CKR_ARGUMENTS_BAD,
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_BUFFER_TOO_SMALL, CKR_MECHANISM_PARAM_INVALID,
};
use zeroize::Zeroizing;

use crate::attribute::{MAX_ATTRIBUTES, MAX_VALUE, Template};
use crate::dialect::Asked;
use crate::rv::{Outcome, Reply, Room, Rv};

const BAD: Rv = Rv(CKR_ARGUMENTS_BAD);

fn length(length: CK_ULONG) -> Outcome<usize> {
    usize::try_from(length).ok().filter(|length| isize::try_from(*length).is_ok()).ok_or(BAD)
}

/// Octets from the caller; NULL is fine for none.
///
/// # Safety
/// A non-NULL `data` points to `count` readable octets that nobody writes during the call.
pub(super) unsafe fn octets<'a>(data: *const CK_BYTE, count: CK_ULONG) -> Outcome<&'a [u8]> {
    match length(count)? {
        0 => Ok(&[]),
        _ if data.is_null() => Err(BAD),
        // SAFETY: not NULL, length within isize, and readable by the caller's contract.
        count => Ok(unsafe { std::slice::from_raw_parts(data, count) }),
    }
}

/// Writes one value to where the caller wants it.
///
/// # Safety
/// A non-NULL `place` is writable for a `T`.
pub(super) unsafe fn put<T>(place: *mut T, value: T) -> Outcome<()> {
    if place.is_null() {
        return Err(BAD);
    }
    // SAFETY: not NULL, writable by the caller's contract; unaligned writes are allowed for.
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// How much the caller has room for.
///
/// # Safety
/// A non-NULL `count` is readable.
pub(super) unsafe fn room<T>(buffer: *const T, count: *const CK_ULONG) -> Outcome<Room> {
    if count.is_null() {
        return Err(BAD);
    }
    if buffer.is_null() {
        return Ok(Room::Query);
    }
    // SAFETY: not NULL, readable by the caller's contract.
    Ok(Room::Octets(length(unsafe { count.read_unaligned() })?))
}

/// Hands an answer out; the counterpart of `room`.
///
/// # Safety
/// `count` is writable, and a non-NULL `buffer` is writable for the `*count` octets that `room` saw.
pub(super) unsafe fn deliver(reply: Reply, buffer: *mut CK_BYTE, count: *mut CK_ULONG) -> Outcome<()> {
    match reply {
        Reply::Length(needed) => {
            // SAFETY: writable by the caller's contract.
            unsafe { put(count, needed as CK_ULONG)? };
            if buffer.is_null() { Ok(()) } else { Err(Rv(CKR_BUFFER_TOO_SMALL)) }
        }
        Reply::Octets(octets) => {
            // SAFETY: readable and writable by the caller's contract.
            let fits = unsafe { room(buffer, count)? }.holds(octets.len());
            if !fits {
                return Err(Rv(CKR_BUFFER_TOO_SMALL));
            }
            // SAFETY: `buffer` is not NULL and has room for these octets, which are our own allocation.
            unsafe {
                buffer.copy_from_nonoverlapping(octets.as_ptr(), octets.len());
                put(count, octets.len() as CK_ULONG)
            }
        }
    }
}

/// Hands a list of numbers out, with the same length convention counted in elements.
///
/// # Safety
/// A non-NULL `count` is readable and writable; a non-NULL `list` is writable for `*count` elements.
pub(super) unsafe fn deliver_list(values: &[CK_ULONG], list: *mut CK_ULONG, count: *mut CK_ULONG) -> Outcome<()> {
    // SAFETY: by the caller's contract.
    let room = unsafe { room(list, count)? };
    let fits = room.holds(values.len());
    if fits {
        // SAFETY: `list` is not NULL and has room for these elements; octet-wise, since it may be unaligned.
        unsafe {
            list.cast::<u8>().copy_from_nonoverlapping(values.as_ptr().cast::<u8>(), std::mem::size_of_val(values));
        }
    }
    // SAFETY: by the caller's contract.
    unsafe { put(count, values.len() as CK_ULONG)? };
    if fits || room == Room::Query { Ok(()) } else { Err(Rv(CKR_BUFFER_TOO_SMALL)) }
}

/// A mechanism with its parameter, copied.
///
/// # Safety
/// A non-NULL `mechanism` points to a `CK_MECHANISM`, whose non-NULL parameter to as many octets as it says.
pub(super) unsafe fn mechanism(mechanism: CK_MECHANISM_PTR) -> Outcome<Asked> {
    if mechanism.is_null() {
        return Err(BAD);
    }
    // SAFETY: not NULL, readable by the caller's contract.
    let given = unsafe { mechanism.read_unaligned() };
    if usize::try_from(given.ulParameterLen).map_or(true, |length| length > MAX_VALUE) {
        return Err(Rv(CKR_MECHANISM_PARAM_INVALID));
    }
    // SAFETY: by the caller's contract.
    let parameter = unsafe { octets(given.pParameter.cast(), given.ulParameterLen) };
    Ok(Asked { number: given.mechanism, parameter: parameter.map_err(|_| Rv(CKR_MECHANISM_PARAM_INVALID))?.to_vec() })
}

/// The attributes of a template as they lie in memory.
///
/// # Safety
/// A non-NULL `attributes` points to `count` readable `CK_ATTRIBUTE`s.
pub(super) unsafe fn attributes(attributes: CK_ATTRIBUTE_PTR, count: CK_ULONG) -> Outcome<Vec<CK_ATTRIBUTE>> {
    let count = length(count)?;
    if (count > 0 && attributes.is_null()) || count > MAX_ATTRIBUTES {
        return Err(BAD);
    }
    // SAFETY: `count` structures are readable by the caller's contract; copies, since they may be unaligned.
    Ok((0..count).map(|index| unsafe { attributes.add(index).read_unaligned() }).collect())
}

/// A template with its values, copied.
///
/// # Safety
/// As `attributes`, and each non-NULL `pValue` points to `ulValueLen` readable octets.
pub(super) unsafe fn template(list: CK_ATTRIBUTE_PTR, count: CK_ULONG) -> Outcome<Template> {
    // SAFETY: by the caller's contract.
    let list = unsafe { attributes(list, count)? };
    let mut values = Vec::with_capacity(list.len());
    for attribute in list {
        if usize::try_from(attribute.ulValueLen).is_ok_and(|length| length > MAX_VALUE) {
            return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
        }
        // SAFETY: by the caller's contract.
        let value = unsafe { octets(attribute.pValue.cast(), attribute.ulValueLen)? };
        values.push((attribute.type_, Zeroizing::new(value.to_vec())));
    }
    Template::new(values)
}
