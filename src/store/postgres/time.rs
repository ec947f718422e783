//! Moments on their way to and from `timestamptz`.
//!
//! The driver has no form for [`jiff::Timestamp`], and moments as text would have to be judged by
//! the server: a sender's far-off date would then fail a whole batch.

use jiff::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// Microseconds from 1970 to 2000, from where Postgres counts.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The year 1: jiff knows years that Postgres does not.
const FIRST: i64 = -62_135_596_800_000_000;

/// A moment in a statement's parameter or result. Fractions below a microsecond are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Moment(pub Timestamp);

impl Moment {
    /// Wraps what may be absent.
    pub(in crate::store) fn some(time: Option<Timestamp>) -> Option<Self> {
        time.map(Self)
    }
}

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Moment {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.as_microsecond().max(FIRST) - POSTGRES_EPOCH;
        Encode::<Postgres>::encode(micros, buffer)
    }
}

impl Decode<'_, Postgres> for Moment {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        // `infinity` is the greatest number and `-infinity` the least.
        let micros = <i64 as Decode<Postgres>>::decode(value)?.saturating_add(POSTGRES_EPOCH);
        let limits = Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond();
        let micros = micros.clamp(*limits.start(), *limits.end());
        Ok(Self(Timestamp::from_microsecond(micros)?))
    }
}
