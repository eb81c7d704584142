/*
 * Countries, the EEA and the Commission's adequacy decisions, as tables.
 *
 * Sources: ISO 3166-1 (alpha-2 codes officially assigned); the EEA Agreement and the EU Treaties
 * with their territorial scope (art. 355 TFEU); the Official Journal for each decision, by its
 * number. Kept by hand: a new decision, an end or a repeal is one line here.
 */
#include "residency_internal.h"

/*
 * The first microsecond of a day in UTC; the day count is that of the proleptic Gregorian calendar.
 */
#define DAY_US INT64_C(86400000000)
#define YEAR_FROM_MARCH(y, m) ((int64_t)(y) - ((m) <= 2))
#define DAY_FROM_MARCH(m, d) ((153 * ((m) + ((m) > 2 ? -3 : 9)) + 2) / 5 + (d)-1)
#define DATE_US(y, m, d)                                                                      \
    ((YEAR_FROM_MARCH(y, m) * 365 + YEAR_FROM_MARCH(y, m) / 4 - YEAR_FROM_MARCH(y, m) / 100 + \
      YEAR_FROM_MARCH(y, m) / 400 + DAY_FROM_MARCH(m, d) - 719468) *                          \
     DAY_US)

const char *const vault_iso3166_second[26] = {
    "DEFGILMOQRSTUWXZ",        /* A */
    "ABDEFGHIJLMNOQRSTVWYZ",   /* B */
    "ACDFGHIKLMNORUVWXYZ",     /* C */
    "EJKMOZ",                  /* D */
    "CEGHRST",                 /* E */
    "IJKMOR",                  /* F */
    "ABDEFGHILMNPQRSTUWY",     /* G */
    "KMNRTU",                  /* H */
    "DELMNOQRST",              /* I */
    "EMOP",                    /* J */
    "EGHIMNPRWYZ",             /* K */
    "ABCIKRSTUVY",             /* L */
    "ACDEFGHKLMNOPQRSTUVWXYZ", /* M */
    "ACEFGILOPRUZ",            /* N */
    "M",                       /* O */
    "AEFGHKLMNRSTWY",          /* P */
    "A",                       /* Q */
    "EOSUW",                   /* R */
    "ABCDEGHIJKLMNORSTVXYZ",   /* S */
    "CDFGHJKLMNORTVWZ",        /* T */
    "AGMSYZ",                  /* U */
    "ACEGINU",                 /* V */
    "FS",                      /* W */
    "",                        /* X */
    "ET",                      /* Y */
    "AMW",                     /* Z */
};

/*
 * Outside although they belong to a member: FO, GL, AW, BQ, CW, SX, NC, PF, BL, PM, WF, TF (not in
 * the Union's territory) and SJ (Svalbard is outside the EEA Agreement). GI, GG, JE, IM never were
 * in.
 */
const char *const vault_eea_codes[] = {
    /* the 27 members of the Union */
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    /* the other three parties to the EEA Agreement */
    "IS", "LI", "NO",
    /* parts of Finland and France with a code of their own */
    "AX", "GF", "GP", "MF", "MQ", "RE", "YT", NULL};

/*
 * GDPR art. 45(3), and art. 45(9) for decisions under the directive before it. A decision that ends
 * on a date holds to the end of that day (Regulation 1182/71 art. 4(2)), so to_us is the next
 * midnight.
 * The European Patent Organisation (2025) has a decision too, but is no country.
 */
const struct vault_adequacy vault_adequacy_table[] = {
    {{"AD"}, "2010/625/EU", DATE_US(2010, 10, 19), 0, NULL, false},
    {{"AR"}, "2003/490/EC", DATE_US(2003, 6, 30), 0, NULL, false},
    {{"BR"}, "(EU) 2026/179", DATE_US(2026, 1, 26), 0, NULL, false},
    {{"CA"}, "2002/2/EC", DATE_US(2001, 12, 20), 0, "commercial organisations under PIPEDA", false},
    {{"CH"}, "2000/518/EC", DATE_US(2000, 7, 26), 0, NULL, false},
    {{"FO"}, "2010/146/EU", DATE_US(2010, 3, 5), 0, NULL, false},
    /* first to 27 June 2025, extended to 27 December 2025, renewed on 19 December 2025 */
    {{"GB"}, "(EU) 2021/1772", DATE_US(2021, 6, 28), DATE_US(2031, 12, 28), NULL, false},
    {{"GG"}, "2003/821/EC", DATE_US(2003, 11, 21), 0, NULL, false},
    {{"IL"}, "2011/61/EU", DATE_US(2011, 1, 31), 0, "automated processing", false},
    {{"IM"}, "2004/411/EC", DATE_US(2004, 4, 28), 0, NULL, false},
    {{"JE"}, "2008/393/EC", DATE_US(2008, 5, 8), 0, NULL, false},
    {{"JP"}, "(EU) 2019/419", DATE_US(2019, 1, 23), 0, "business operators under the APPI", false},
    {{"KR"},
     "(EU) 2022/254",
     DATE_US(2021, 12, 17),
     0,
     "operators under the PIPA, without credit data",
     false},
    {{"NZ"}, "2013/65/EU", DATE_US(2012, 12, 19), 0, NULL, false},
    {{"US"},
     "(EU) 2023/1795",
     DATE_US(2023, 7, 10),
     0,
     "organisations certified under the EU-US Data Privacy Framework",
     true},
    {{"UY"}, "2012/484/EU", DATE_US(2012, 8, 21), 0, NULL, false},
};
const size_t vault_adequacy_count = sizeof vault_adequacy_table / sizeof vault_adequacy_table[0];
