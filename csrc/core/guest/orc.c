/* Lookups in ORC tables. The addresses are sorted, by the linker or at boot, so a binary
 * search reads some 20 of them; in a table that is not sorted it ends as soon, with an
 * entry that may be another address's. Entries of all forms are decoded to one. */
#include "guest/orc.h"

#include "util/bytes.h"

enum { IP_SIZE = 4, ENTRY_SIZE = 6, CHUNK = 512 };

/* The bits after the offsets. */
enum { SP_BITS = 15, BP_SHIFT = 4, TYPE_SHIFT = 8, BIT_10 = 1 << 10, BIT_11 = 1 << 11 };

/* The numbers of the bases, up to 6.x and from 7.x on. */
static enum orc_base base_of(unsigned number, enum orc_form form)
{
    static const enum orc_base bases[16] = {
        ORC_NONE,    ORC_PREVIOUS_SP, ORC_DX,          ORC_DI,          ORC_BP, ORC_SP,
        ORC_R10,     ORC_R13,         ORC_BP_INDIRECT, ORC_SP_INDIRECT, ORC_AX, ORC_INVALID,
        ORC_INVALID, ORC_INVALID,     ORC_INVALID,     ORC_INVALID};
    static const enum orc_base renumbered[16] = {
        ORC_NONE,        ORC_AX,          ORC_DX,          ORC_SP,
        ORC_BP,          ORC_DI,          ORC_R10,         ORC_R13,
        ORC_PREVIOUS_SP, ORC_SP_INDIRECT, ORC_BP_INDIRECT, ORC_INVALID,
        ORC_INVALID,     ORC_INVALID,     ORC_INVALID,     ORC_INVALID};

    return (form == ORC_RENUMBERED ? renumbered : bases)[number & 15];
}

/* In the first forms the end of the stack is a bit, and the type is for entries that have a
 * base for sp. */
static enum orc_type type_of(unsigned bits, enum orc_form form)
{
    static const enum orc_type old[4] = {ORC_CALL, ORC_REGS, ORC_REGS_PARTIAL,
                                         ORC_BAD_TYPE};
    unsigned type = bits >> TYPE_SHIFT & 7;

    if (form == ORC_TYPES || form == ORC_RENUMBERED)
        return type < ORC_BAD_TYPE ? (enum orc_type)type : ORC_BAD_TYPE;
    if ((bits & SP_BITS) == 0)
        return bits & (form == ORC_END ? BIT_10 : BIT_11) ? ORC_STACK_END : ORC_UNDEFINED;
    return old[type & 3];
}

/*     08 00    00 00    05 02
 *     sp + 8   bp + 0   0x0205: base of sp 5 (sp), of bp 0 (unchanged), type 2 (call)
 *
 * So the caller's sp is this sp + 8: only the return address is on the stack. The table is
 * little-endian, as x86_64 is. */
struct orc_entry orc_decode(const unsigned char *bytes, enum orc_form form)
{
    unsigned bits = bytes_u16(bytes + 4, false);
    struct orc_entry entry = {.sp_offset = (int16_t)bytes_u16(bytes, false),
                              .bp_offset = (int16_t)bytes_u16(bytes + 2, false),
                              .sp = base_of(bits, form),
                              .bp = base_of(bits >> BP_SHIFT, form),
                              .type = type_of(bits, form)};

    if (form == ORC_END)
        entry.signal = entry.type == ORC_REGS || entry.type == ORC_REGS_PARTIAL;
    else
        entry.signal = bits & (form == ORC_SIGNAL ? BIT_10 : BIT_11);
    return entry;
}

/* What most functions have most of the time, sp + offset and bp unchanged, tells the number
 * of sp and of the type of a call. The values are 16 bits with the base of sp in bits 3 to
 * 0 and the type from bit 8 on: 5 and type 0 up to 6.3, 5 and type 2 from 6.4 on, 3 and
 * type 2 where the bases are renumbered. In the later forms the signal bit may be set or
 * not. */
static void count_entry(struct orc_census *census, unsigned bits)
{
    census->odd += bits >> 12 != 0;
    census->calls[ORC_END] += bits == 0x005;
    census->calls[ORC_TYPES] += (bits & ~(unsigned)BIT_11) == 0x205;
    census->calls[ORC_RENUMBERED] += (bits & ~(unsigned)BIT_11) == 0x203;
    if ((bits & 0x30f) == 0x105)
        census->regs[bits & BIT_10 ? 1 : 0]++;
}

/* A quarter of the entries or more must be such calls. Where ORC_REGS has bit 10, it is the
 * signal bit: there is no end of the stack at saved registers. */
static enum orc_form form_of(const struct orc_census *census, uint32_t count)
{
    static const enum orc_form forms[] = {ORC_END, ORC_TYPES, ORC_RENUMBERED};
    enum orc_form form = ORC_UNKNOWN;

    if (census->odd > 0)
        return ORC_UNKNOWN;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (census->calls[forms[i]] >= count / 4 + 1 &&
            census->calls[forms[i]] > census->calls[form])
            form = forms[i];
    if (form == ORC_END && census->regs[1] > census->regs[0])
        return ORC_SIGNAL;
    return form;
}

/* One pass over all entries, 2.4 MB in a real kernel, by CHUNK at a time. The census is the
 * caller's, so a pass that is incomplete continues. */
int orc_detect(struct space *space, const struct orc_table *table,
               struct orc_census *census, enum orc_form *form, struct qvm_error *err)
{
    unsigned char bytes[CHUNK * ENTRY_SIZE];

    while (census->next < table->count) {
        uint32_t n =
            table->count - census->next < CHUNK ? table->count - census->next : CHUNK;

        if (space_read(space, table->entries + (uint64_t)census->next * ENTRY_SIZE, bytes,
                       (size_t)n * ENTRY_SIZE, err) != 0)
            return -1;
        for (uint32_t i = 0; i < n; i++)
            count_entry(census, bytes_u16(bytes + (size_t)i * ENTRY_SIZE + 4, false));
        census->next += n;
    }
    *form = form_of(census, table->count);
    return 0;
}

/* The address that entry i begins at. The number is relative to its own place, so that a
 * kernel can be moved without changing the table. The sum is modulo 2^64, with the number
 * extended by its sign. */
static int read_ip(struct space *space, const struct orc_table *table, uint32_t i,
                   uint64_t *ip, struct qvm_error *err)
{
    uint64_t at = table->ips + (uint64_t)i * IP_SIZE;
    unsigned char bytes[IP_SIZE];

    if (space_read(space, at, bytes, sizeof bytes, err) != 0)
        return -1;
    *ip = at + (uint64_t)(int64_t)(int32_t)bytes_u32(bytes, false);
    return 0;
}

static int read_entry(struct space *space, const struct orc_table *table,
                      enum orc_form form, uint32_t i, struct orc_entry *entry,
                      struct qvm_error *err)
{
    unsigned char bytes[ENTRY_SIZE];

    if (space_read(space, table->entries + (uint64_t)i * ENTRY_SIZE, bytes, sizeof bytes,
                   err) != 0)
        return -1;
    *entry = orc_decode(bytes, form);
    return 0;
}

int orc_read(struct space *space, const struct orc_table *table, enum orc_form form,
             uint32_t i, uint64_t *ip, struct orc_entry *entry, struct qvm_error *err)
{
    if (read_ip(space, table, i, ip, err) != 0)
        return -1;
    return read_entry(space, table, form, i, entry, err);
}

/* Invariant: the entries below `low` begin at or before the address if the table is sorted.
 * In any case `low` and `high` draw nearer each time. */
int orc_find(struct space *space, const struct orc_table *table, enum orc_form form,
             uint64_t address, struct orc_entry *entry, bool *found, struct qvm_error *err)
{
    uint32_t low = 0,
             high = table->count; /* the entry is before `high`; at `low` - 1 or later */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t ip;

        if (read_ip(space, table, middle, &ip, err) != 0)
            return -1;
        if (ip <= address)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low > 0;
    return *found ? read_entry(space, table, form, low - 1, entry, err) : 0;
}
