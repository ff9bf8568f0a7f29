//! Named scalar functions: one row each, giving names, argument types and result type.
//!
//! Argument types are written as words of one letter, with `?` for an optional argument and `*` for any number (zero included)
//! of the last one:
//! `s` string, `y` binary, `x` string or binary, `w` string or array of strings, `b` boolean, `i` int (cast from any number), `j` int
//! (from no wider number), `l` bigint, `d` double, `n` any number, `q` any integer, `D` date,
//! `t` timestamp, `T` date or timestamp, `m` year-month interval, `u` day-time interval, `A` array, `M` map, `S` struct, `a` anything,
//! `c` anything, all `c` brought to one type, `e` of one type with the elements of the first argument.
//! The result is one of the letters `s y b i l d D t m u`, `1` for the type of the first argument, or `*` where
//! [`ScalarFunction::data_type`](super::typing) computes it.

/// A row of the function table.
#[derive(Debug)]
pub struct Signature {
    pub function: ScalarFunction,
    /// Spark's name, shown by EXPLAIN.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// Argument types, see the module.
    pub args: &'static str,
    /// Result type, see the module.
    pub returns: &'static str,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident $name:literal $([$($alias:literal)*])? $args:literal => $returns:literal;)*) => {
        /// A scalar function. NULL arguments give NULL unless said.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ScalarFunction {
            $($(#[$doc])* $variant),*
        }

        /// Every scalar function, in the order of the enum.
        pub static SIGNATURES: &[Signature] = &[
            $(Signature {
                function: ScalarFunction::$variant,
                name: $name,
                aliases: &[$($($alias),*)?],
                args: $args,
                returns: $returns,
            }),*
        ];
    };
}

functions! {
    // Strings. Positions count characters from 1.
    /// `substring(str, pos[, len])`; a negative position counts from the end.
    Substring "substring" ["substr"] "x i i?" => "1";
    Left "left" "x i" => "1";
    Right "right" "s i" => "s";
    Upper "upper" ["ucase"] "s" => "s";
    Lower "lower" ["lcase"] "s" => "s";
    /// `btrim(str[, chars])`.
    Trim "btrim" "s s?" => "s";
    /// Arguments as for [`ScalarFunction::Trim`].
    LTrim "ltrim" "s s?" => "s";
    /// Arguments as for [`ScalarFunction::Trim`].
    RTrim "rtrim" "s s?" => "s";
    Length "char_length" ["length" "len" "character_length"] "x" => "i";
    OctetLength "octet_length" "x" => "i";
    BitLength "bit_length" "x" => "i";
    /// NULL if any argument is NULL; arrays are appended.
    Concat "concat" "c*" => "*";
    /// `concat_ws(sep, …)`: strings and the elements of arrays; skips NULLs; NULL only if the separator is.
    ConcatWs "concat_ws" "s w*" => "s";
    Replace "replace" "s s s?" => "s";
    /// `locate(substr, str[, start])`; 0 when absent.
    Locate "locate" ["position" "charindex"] "s s i?" => "i";
    /// `instr(str, substr)`; 0 when absent.
    Instr "instr" "s s" => "i";
    LPad "lpad" "x i x?" => "1";
    RPad "rpad" "x i x?" => "1";
    Repeat "repeat" "s i" => "s";
    Space "space" "i" => "s";
    Reverse "reverse" "a" => "1";
    /// `split(str, regex[, limit])`.
    Split "split" "s s i?" => "*";
    /// `overlay(str, replacement, position[, length])`.
    Overlay "overlay" "s s i i?" => "s";
    /// Position from 1 of a text in a comma-separated list; 0 when absent.
    FindInSet "find_in_set" "s s" => "i";
    /// `split_part(str, delimiter, n)`; a negative part counts from the end.
    SplitPart "split_part" "s s i" => "s";
    SubstringIndex "substring_index" "s s i" => "s";
    StartsWith "startswith" "x x" => "b";
    EndsWith "endswith" "x x" => "b";
    Contains "contains" "x x" => "b";
    InitCap "initcap" "s" => "s";
    Ascii "ascii" "s" => "i";
    Chr "chr" ["char"] "l" => "s";
    Translate "translate" "s s s" => "s";
    RegexpReplace "regexp_replace" "s s s i?" => "s";
    /// `regexp_extract(str, regex[, group])`; empty when nothing matches.
    RegexpExtract "regexp_extract" "s s i?" => "s";
    RegexpExtractAll "regexp_extract_all" "s s i?" => "*";
    RegexpCount "regexp_count" "s s" => "i";
    /// Position from 1 of the first match; 0 when absent. The group is not looked at.
    RegexpInstr "regexp_instr" "s s i?" => "i";
    /// NULL when nothing matches.
    RegexpSubstr "regexp_substr" "s s" => "s";
    RLike "rlike" ["regexp_like" "regexp"] "s s" => "b";
    /// `levenshtein(a, b[, most])`; -1 for more than the most.
    Levenshtein "levenshtein" "s s i?" => "i";
    Soundex "soundex" "s" => "s";
    Quote "quote" "s" => "s";
    LuhnCheck "luhn_check" "s" => "b";
    /// `mask(str[, upper[, lower[, digit[, other]]]])`: a NULL leaves characters of its kind.
    Mask "mask" "s s? s? s? s?" => "s";
    /// `conv(number, from base, to base)`.
    Conv "conv" "s i i" => "s";
    /// `elt(n, a, b, …)`: the n-th of the others, from 1.
    Elt "elt" "i a a*" => "*";
    /// `format_string(format, …)`, as `java.util.Formatter`.
    FormatString "format_string" ["printf"] "s a*" => "s";
    /// `format_number(x, places or pattern)`.
    FormatNumber "format_number" "n a" => "s";
    /// `to_char(number, format)`; the format is a literal.
    ToChar "to_char" "n s" => "s";
    /// `to_number(text, format)`; the format is a literal.
    ToNumber "to_number" "s s" => "*";
    /// As [`ScalarFunction::ToNumber`]; NULL where the text does not fit the format.
    TryToNumber "try_to_number" "s s" => "*";
    /// `parse_url(url, part[, key])`.
    ParseUrl "parse_url" "s s s?" => "s";
    TryParseUrl "try_parse_url" "s s s?" => "s";
    UrlEncode "url_encode" "s" => "s";
    UrlDecode "url_decode" "s" => "s";
    TryUrlDecode "try_url_decode" "s" => "s";

    // Bytes; several functions of strings take them as well.
    Hex "hex" "a" => "s";
    /// NULL for what is no hexadecimal number.
    Unhex "unhex" "s" => "y";
    Base64 "base64" "y" => "s";
    UnBase64 "unbase64" "s" => "y";
    Md5 "md5" "y" => "s";
    Sha1Digest "sha1" ["sha"] "y" => "s";
    /// `sha2(bytes, bits)`; NULL for other than 0, 224, 256, 384 and 512 bits.
    Sha2Digest "sha2" "y i" => "s";
    Crc32 "crc32" "y" => "l";
    /// `encode(str, charset)`.
    Encode "encode" "s s" => "y";
    /// `decode(bytes, charset)`.
    Decode "decode" "y s" => "s";
    IsValidUtf8 "is_valid_utf8" "y" => "b";
    /// Replaces what is no UTF-8 by U+FFFD.
    MakeValidUtf8 "make_valid_utf8" "y" => "s";
    ValidateUtf8 "validate_utf8" "y" => "s";
    TryValidateUtf8 "try_validate_utf8" "y" => "s";
    BitmapCount "bitmap_count" "y" => "l";

    // Numbers.
    Abs "abs" "n" => "1";
    Sign "sign" ["signum"] "d" => "d";
    Ceil "ceil" ["ceiling"] "n i?" => "*";
    Floor "floor" "n i?" => "*";
    /// `round(x[, scale])`, HALF_UP; the scale is a literal.
    Round "round" "n i?" => "*";
    /// `bround(x[, scale])`, HALF_EVEN.
    BRound "bround" "n i?" => "*";
    Rint "rint" "d" => "d";
    Sqrt "sqrt" "d" => "d";
    Cbrt "cbrt" "d" => "d";
    Exp "exp" "d" => "d";
    Expm1 "expm1" "d" => "d";
    /// NULL for arguments that are not positive, as are the other logarithms.
    Ln "ln" "d" => "d";
    Log10 "log10" "d" => "d";
    Log2 "log2" "d" => "d";
    Log1p "log1p" "d" => "d";
    /// `log(base, x)`.
    Log "log" "d d" => "d";
    Power "power" ["pow"] "d d" => "d";
    Sin "sin" "d" => "d";
    Cos "cos" "d" => "d";
    Tan "tan" "d" => "d";
    Cot "cot" "d" => "d";
    Asin "asin" "d" => "d";
    Acos "acos" "d" => "d";
    Atan "atan" "d" => "d";
    Atan2 "atan2" "d d" => "d";
    Sinh "sinh" "d" => "d";
    Cosh "cosh" "d" => "d";
    Tanh "tanh" "d" => "d";
    Asinh "asinh" "d" => "d";
    Acosh "acosh" "d" => "d";
    Atanh "atanh" "d" => "d";
    Sec "sec" "d" => "d";
    Csc "csc" "d" => "d";
    Degrees "degrees" "d" => "d";
    Radians "radians" "d" => "d";
    Hypot "hypot" "d d" => "d";
    /// Skips NULLs; NULL only if all are.
    Greatest "greatest" "c c c*" => "1";
    /// Skips NULLs; NULL only if all are.
    Least "least" "c c c*" => "1";
    /// Remainder with the sign of the divisor.
    PMod "pmod" "c c" => "1";
    /// Never NULL.
    IsNaN "isnan" "d" => "b";
    NaNvl "nanvl" "d d" => "d";
    BitAnd "&" "c c" => "1";
    BitOr "|" "c c" => "1";
    BitXor "^" "c c" => "1";
    BitNot "~" "q" => "1";
    ShiftLeft "shiftleft" "q i" => "1";
    ShiftRight "shiftright" "q i" => "1";
    ShiftRightUnsigned "shiftrightunsigned" "q i" => "1";
    /// As [`ScalarFunction::ShiftLeft`], written as an operator.
    LeftShift "<<" "q i" => "1";
    /// As [`ScalarFunction::ShiftRight`], written as an operator.
    RightShift ">>" "q i" => "1";
    /// As [`ScalarFunction::ShiftRightUnsigned`], written as an operator.
    RightShiftUnsigned ">>>" "q i" => "1";
    /// Of a boolean, as of the integer.
    BitCount "bit_count" "a" => "i";
    /// `bit_get(x, position)`: 0 or 1.
    BitGet "bit_get" ["getbit"] "q i" => "*";
    /// `width_bucket(x, low, high, n)`: 0 below the lowest bucket, `n + 1` above the highest.
    WidthBucket "width_bucket" "d d d l" => "l";
    BitmapBitPosition "bitmap_bit_position" "l" => "l";
    BitmapBucketNumber "bitmap_bucket_number" "l" => "l";
    /// Binary digits.
    Bin "bin" "l" => "s";
    Factorial "factorial" "i" => "l";
    /// `rand(seed)`: a random double in [0, 1).
    Rand "rand" ["random"] "l" => "d";
    /// `randn(seed)`: a random double with mean 0 and deviation 1.
    RandN "randn" "l" => "d";
    /// `randstr(length, seed)`: random letters and digits.
    RandStr "randstr" "i l" => "s";
    /// The partition that the row is in.
    SparkPartitionId "spark_partition_id" "" => "i";
    /// The partition, then the number of rows before in it.
    MonotonicallyIncreasingId "monotonically_increasing_id" "" => "l";
    /// A random UUID (version 4).
    Uuid "uuid" "" => "s";
    /// NaNs to one NaN and -0.0 to 0.0, for keys; the planner inserts it.
    NormalizeFloat "normalizenanandzero" "a" => "1";

    // Dates and times.
    Year "year" "D" => "i";
    Quarter "quarter" "D" => "i";
    Month "month" "D" => "i";
    DayOfMonth "dayofmonth" ["day"] "D" => "i";
    /// 1 is Sunday.
    DayOfWeek "dayofweek" "D" => "i";
    /// 0 is Monday.
    WeekDay "weekday" "D" => "i";
    DayOfYear "dayofyear" "D" => "i";
    /// ISO week.
    WeekOfYear "weekofyear" "D" => "i";
    /// Year of the ISO week.
    YearOfWeek "yearofweek" "D" => "i";
    Hour "hour" "t" => "i";
    Minute "minute" "t" => "i";
    Second "second" "t" => "i";
    /// Seconds with fraction, decimal(8,6).
    SecondFraction "secondwithfraction" "t" => "*";
    DateAdd "date_add" ["dateadd"] "D j" => "D";
    DateSub "date_sub" "D j" => "D";
    /// `datediff(end, start)` in days.
    DateDiff "datediff" ["date_diff"] "D D" => "i";
    AddMonths "add_months" "D i" => "D";
    /// `months_between(a, b[, round off])`.
    MonthsBetween "months_between" "t t b?" => "d";
    LastDay "last_day" "D" => "D";
    NextDay "next_day" "D s" => "D";
    /// `trunc(date, unit)`.
    Trunc "trunc" "D s" => "D";
    /// `date_trunc(unit, timestamp)`.
    DateTrunc "date_trunc" "s t" => "t";
    /// With a format; without one it is a cast.
    ToDate "to_date" "s s" => "D";
    /// With a format; without one it is a cast.
    ToTimestamp "to_timestamp" "s s" => "t";
    /// NULL where the text does not fit the format.
    TryToDate "try_to_date" "s s" => "D";
    /// NULL where the text does not fit the format.
    TryToTimestamp "try_to_timestamp" "s s" => "t";
    DateFormat "date_format" "t s" => "s";
    MakeDate "make_date" "i i i" => "D";
    MakeTimestamp "make_timestamp" ["make_timestamp_ltz"] "i i i i i d" => "t";
    TryMakeTimestamp "try_make_timestamp" ["try_make_timestamp_ltz"] "i i i i i d" => "t";
    /// `timestampdiff(unit, start, end)`: whole units; the unit is a literal.
    TimestampDiff "timestampdiff" "s t t" => "l";
    /// Seconds since the epoch of a timestamp.
    UnixTimestamp "unix_timestamp" ["to_unix_timestamp" "unix_seconds"] "t" => "l";
    UnixMillis "unix_millis" "t" => "l";
    UnixMicros "unix_micros" "t" => "l";
    UnixDate "unix_date" "D" => "i";
    DateFromUnixDate "date_from_unix_date" "i" => "D";
    TimestampSeconds "timestamp_seconds" "l" => "t";
    TimestampMillis "timestamp_millis" "l" => "t";
    TimestampMicros "timestamp_micros" "l" => "t";
    /// `window_bound(time, slide, start, shift)`: the start of the last window that has the time, and `shift` more; in microseconds.
    WindowBound "window_bound" "T l l l" => "1";
    FromUnixTime "from_unixtime" "l s?" => "s";
    /// `from_utc_timestamp(timestamp, zone)`: what clocks of the zone show.
    FromUtcTimestamp "from_utc_timestamp" "t s" => "t";
    /// `to_utc_timestamp(timestamp, zone)`: when clocks of the zone show that.
    ToUtcTimestamp "to_utc_timestamp" "t s" => "t";
    /// `convert_timezone(from, to, timestamp without a time zone)`.
    ConvertTimezone "convert_timezone" "s s t" => "*";
    /// `date - date`.
    SubtractDates "subtractdates" "D D" => "u";
    /// `timestamp - timestamp`.
    SubtractTimestamps "subtracttimestamps" "t t" => "u";
    /// `timestamp + day-time interval`.
    TimeAdd "timestampadd" "t u" => "t";
    /// `timestamp + year-month interval`.
    TimestampAddMonths "timestampaddyminterval" "t m" => "t";
    /// `date + year-month interval`.
    DateAddMonths "dateaddyminterval" "D m" => "D";
    /// Sum of two intervals of one kind.
    IntervalAdd "intervaladd" "c c" => "1";
    IntervalSubtract "intervalsubtract" "c c" => "1";
    /// Interval times a double, HALF_UP.
    IntervalMultiply "multiplyinterval" "a d" => "1";
    IntervalDivide "divideinterval" "a d" => "1";
    /// A field of an interval: `interval_part(unit, interval)`; the unit is a literal.
    IntervalPart "intervalpart" "s a" => "l";
    MakeDayTimeInterval "make_dt_interval" "i? i? i? d?" => "u";
    MakeYearMonthInterval "make_ym_interval" "i? i?" => "m";

    // Arrays, maps and structs.
    Array "array" "c*" => "*";
    /// -1 never: NULL gives NULL (ANSI).
    Size "size" ["cardinality" "array_size"] "a" => "i";
    /// `element_at(array, n)` from 1 (negative from the end), or `element_at(map, key)`.
    ElementAt "element_at" "a a" => "*";
    /// `array[n]` from 0, or `map[key]`.
    GetItem "getitem" "a a" => "*";
    /// As `array[n]`, but NULL where there is no such element.
    Get "get" "A i" => "*";
    /// As `element_at`, but NULL where there is no such element.
    TryElementAt "try_element_at" "a a" => "*";
    ArrayUnion "array_union" "c c" => "1";
    ArrayIntersect "array_intersect" "c c" => "1";
    ArrayExcept "array_except" "c c" => "1";
    /// Whether two arrays have an element in common; NULL if only a NULL could be.
    ArraysOverlap "arrays_overlap" "c c" => "b";
    ArrayRepeat "array_repeat" "a i" => "*";
    ArrayCompact "array_compact" "A" => "1";
    ArrayContains "array_contains" "A e" => "b";
    ArrayPosition "array_position" "A e" => "l";
    ArrayRemove "array_remove" "A e" => "1";
    /// `array_insert(array, position, item)`.
    ArrayInsert "array_insert" "A i e" => "1";
    /// Names (literals) and arrays by turns.
    ArraysZip "arrays_zip" "a*" => "*";
    /// `array_sort(array[, (l, r) -> int])`; ascending, NULLs last, where no function compares.
    ArraySort "array_sort" "A a?" => "1";
    SortArray "sort_array" "A b?" => "1";
    /// `shuffle(array[, seed])`.
    Shuffle "shuffle" "A l?" => "1";
    ArrayMin "array_min" "A" => "*";
    ArrayMax "array_max" "A" => "*";
    /// Interpolated percentile of the elements that are not NULL, doubles; an array of fractions gives an array. Finishes `percentile`.
    ArrayPercentile "array_percentile" "A a" => "*";
    /// Least element at or above the fraction, or those at several; finishes `percentile_approx`.
    ArrayPercentileDisc "array_percentile_disc" "A a" => "*";
    /// The most frequent element that is not NULL, of several the least (`true`) or the greatest; finishes `mode`.
    ArrayMode "array_mode" "A b" => "*";
    ArrayDistinct "array_distinct" "A" => "1";
    ArrayJoin "array_join" "A s s?" => "s";
    /// `slice(array, start, length)`.
    Slice "slice" "A i i" => "1";
    /// `sequence(start, stop[, step])` of integers or dates.
    Sequence "sequence" "a a a?" => "*";
    Flatten "flatten" "A" => "*";
    /// `transform(array, x -> …)` or `(x, i) -> …`.
    Transform "transform" "A a" => "*";
    /// As [`ScalarFunction::Transform`], of a condition.
    Filter "filter" "A a" => "1";
    Exists "exists" "A a" => "b";
    ForAll "forall" "A a" => "b";
    /// `aggregate(array, start, (state, x) -> state[, state -> …])`.
    Aggregate "aggregate" ["reduce"] "A a a a?" => "*";
    /// `zip_with(array, array, (x, y) -> …)`.
    ZipWith "zip_with" "A A a" => "*";
    /// `transform_keys(map, (k, v) -> …)`.
    TransformKeys "transform_keys" "M a" => "*";
    TransformValues "transform_values" "M a" => "*";
    MapFilter "map_filter" "M a" => "1";
    /// `map_zip_with(map, map, (k, v, w) -> …)`.
    MapZipWith "map_zip_with" "M M a" => "*";
    Map "map" "a*" => "*";
    MapFromArrays "map_from_arrays" "A A" => "*";
    MapFromEntries "map_from_entries" "A" => "*";
    MapConcat "map_concat" "c c*" => "1";
    /// `str_to_map(text[, pair delimiter[, key-value delimiter]])`.
    StrToMap "str_to_map" "s s? s?" => "*";
    /// Maps, also those within other values, with their entries in the order of the keys: equal ones are alike. The optimizer inserts it.
    MapSort "mapsort" "a" => "1";
    MapEntries "map_entries" "M" => "*";
    MapKeys "map_keys" "M" => "*";
    MapValues "map_values" "M" => "*";
    /// Names (literals) and values by turns; never NULL.
    NamedStruct "named_struct" "a*" => "*";
    /// `get_field(struct, 'name')`.
    GetField "getstructfield" "S s" => "*";
    /// That field of each struct of an array.
    GetArrayFields "getarraystructfields" "A s" => "*";

    // Generators: only as the generator of a Generate node.
    /// One row per element of an array, or key and value of a map.
    Explode "explode" "a" => "*";
    /// Position from 0, then as for explode.
    PosExplode "posexplode" "a" => "*";
    /// One row per struct of an array.
    Inline "inline" "A" => "*";
    /// Those that yield a row of NULLs where the others yield none.
    ExplodeOuter "explode_outer" "a" => "*";
    PosExplodeOuter "posexplode_outer" "a" => "*";
    InlineOuter "inline_outer" "A" => "*";
    /// `json_tuple(text, field, …)`: one row of texts per row.
    JsonTuple "json_tuple" "a a a*" => "*";
    /// `stack(n, …)`: the arguments dealt over n rows.
    Stack "stack" "i a*" => "*";
    /// `replicaterows(n, …)`: the other arguments n times. Made for INTERSECT ALL and EXCEPT ALL.
    ReplicateRows "replicaterows" "l a a*" => "*";

    // JSON.
    /// `get_json_object(text, path)`; NULL where the text is broken or the path leads nowhere.
    GetJsonObject "get_json_object" "s s" => "s";
    /// NULL for what is no array.
    JsonArrayLength "json_array_length" "s" => "i";
    /// The outermost keys; NULL for what is no object.
    JsonObjectKeys "json_object_keys" "s" => "*";
    /// `from_json(text, NULL of the type[, options])`: Spark's schema text has become a type.
    FromJson "from_json" "s a M?" => "*";
    /// `to_json(value[, options])`.
    ToJson "to_json" "a M?" => "s";

    // Others.
    /// Murmur3 with seed 42.
    Hash "hash" "a a*" => "i";
    /// XXH64 with seed 42.
    XxHash64 "xxhash64" "a a*" => "l";
    /// `might_contain(bloom_filter, hash)`.
    MightContain "might_contain" "y l" => "b";
    /// About how many different values went into registers of HyperLogLog++.
    EstimateDistinct "estimate_distinct" "y" => "l";
    /// Fails with the message.
    RaiseError "raise_error" "s" => "*";
    /// NULL if true, else fails.
    AssertTrue "assert_true" "b s?" => "*";
}

impl ScalarFunction {
    /// Its row of the table.
    pub fn signature(self) -> &'static Signature {
        &SIGNATURES[self as usize]
    }

    /// Spark's name.
    pub fn name(self) -> &'static str {
        self.signature().name
    }

    /// The function of that name or alias (lower case).
    pub fn from_name(name: &str) -> Option<Self> {
        SIGNATURES.iter().find(|s| s.name == name || s.aliases.contains(&name)).map(|s| s.function)
    }

    /// Same arguments, same result.
    pub fn is_deterministic(self) -> bool {
        !matches!(
            self,
            ScalarFunction::Rand
                | ScalarFunction::Shuffle
                | ScalarFunction::RandN
                | ScalarFunction::RandStr
                | ScalarFunction::Uuid
                | ScalarFunction::SparkPartitionId
                | ScalarFunction::MonotonicallyIncreasingId
        )
    }

    /// Yields rows rather than a value.
    pub fn is_generator(self) -> bool {
        use ScalarFunction::*;
        matches!(self, Explode | PosExplode | Inline | JsonTuple | Stack | ReplicateRows) || self.without_outer().is_some()
    }

    /// The generator that this one is the outer form of.
    pub fn without_outer(self) -> Option<Self> {
        match self {
            ScalarFunction::ExplodeOuter => Some(ScalarFunction::Explode),
            ScalarFunction::PosExplodeOuter => Some(ScalarFunction::PosExplode),
            ScalarFunction::InlineOuter => Some(ScalarFunction::Inline),
            _ => None,
        }
    }

    /// Whether some values of the declared argument types raise an error.
    pub fn can_fail(self) -> bool {
        use ScalarFunction::*;
        matches!(
            self,
            Abs | Ceil
                | Floor
                | Round
                | BRound
                | PMod
                | DateAdd
                | DateSub
                | AddMonths
                | NextDay
                | ToDate
                | ToTimestamp
                | DateFormat
                | FromUnixTime
                | MakeDate
                | MakeTimestamp
                | TimestampSeconds
                | TimestampMillis
                | TimeAdd
                | TimestampAddMonths
                | DateAddMonths
                | SubtractDates
                | SubtractTimestamps
                | IntervalAdd
                | IntervalSubtract
                | IntervalMultiply
                | IntervalDivide
                | MakeDayTimeInterval
                | MakeYearMonthInterval
                | ElementAt
                | GetItem
                | Slice
                | Sequence
                | ArrayRepeat
                | MapFromArrays
                | MapFromEntries
                | MapConcat
                | StrToMap
                | ArrayInsert
                | Map
                | TransformKeys
                | SplitPart
                | Split
                | RegexpReplace
                | RegexpExtract
                | RLike
                | RegexpExtractAll
                | RegexpCount
                | RegexpInstr
                | RegexpSubstr
                | Conv
                | Elt
                | FormatString
                | FormatNumber
                | ToNumber
                | FromUtcTimestamp
                | ToUtcTimestamp
                | ConvertTimezone
                | ParseUrl
                | UrlDecode
                | UnBase64
                | Encode
                | Decode
                | ValidateUtf8
                | BitGet
                | TryToDate
                | TryToTimestamp
                | Repeat
                | RaiseError
                | AssertTrue
                | MightContain
                | FromJson
                | ToJson
        )
    }

    /// Whether the result can be NULL although no argument is.
    pub fn makes_nulls(self) -> bool {
        use ScalarFunction::*;
        matches!(
            self,
            Ln | Log10
                | Log2
                | Log1p
                | Log
                | Factorial
                | Trunc
                | DateTrunc
                | TryToDate
                | TryToTimestamp
                | TryMakeTimestamp
                | RegexpSubstr
                | Conv
                | Elt
                | FormatNumber
                | TryToNumber
                | ParseUrl
                | TryParseUrl
                | TryUrlDecode
                | Unhex
                | Sha2Digest
                | TryValidateUtf8
                | WidthBucket
                | MapFromEntries
                | ArrayMin
                | ArrayMax
                | ArrayPercentile
                | ArrayPercentileDisc
                | ArrayMode
                | ArrayContains
                | ElementAt
                | GetItem
                | Get
                | TryElementAt
                | ArraysOverlap
                | GetField
                | GetArrayFields
                | GetJsonObject
                | JsonArrayLength
                | JsonObjectKeys
                | FromJson
                | JsonTuple
                | AssertTrue
                | RaiseError
                | Explode
                | PosExplode
                | Inline
                | ExplodeOuter
                | PosExplodeOuter
                | InlineOuter
                | Stack
                | ReplicateRows
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for (i, s) in SIGNATURES.iter().enumerate() {
            assert_eq!(s.function as usize, i);
            for name in std::iter::once(&s.name).chain(s.aliases) {
                assert!(seen.insert(*name), "{name} is there twice");
            }
        }
        assert_eq!(ScalarFunction::from_name("substr"), Some(ScalarFunction::Substring));
    }
}
