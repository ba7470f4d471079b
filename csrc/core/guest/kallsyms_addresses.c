/* Makes addresses of the numbers in the table, which kernels wrote in four ways through
 * time:
 *
 *     WAY_PLACE      address of offsets[i] + offsets[i]                   7.0 and later
 *     WAY_BASE       relative_base + (u32) offsets[i]
 *     WAY_PERCPU     offsets[i] >= 0: offsets[i], else relative_base - 1 - offsets[i]
 *     WAY_ADDRESS    addresses[i]
 *
 * The table does not say which way is right: that depends on the version and configuration
 * of the kernel. The right one gives `_stext` its address, which VMCOREINFO has.
 *
 * Source: kallsyms_sym_address() in kernel/kallsyms.c of Linux. */
#include "guest/kallsyms_addresses.h"

enum way { WAY_PLACE, WAY_BASE, WAY_PERCPU, WAY_ADDRESS, WAYS };

/* Has the kernel the variables that this way needs? */
static bool is_possible(const struct kallsyms_location *location, enum way way)
{
    switch (way) {
    case WAY_PLACE: return location->has_offsets && !location->has_relative_base;
    case WAY_BASE:
    case WAY_PERCPU: return location->has_relative_base;
    default: return location->has_addresses;
    }
}

/* Numbers of 4 bytes were extended by their sign, hence the mask. */
static uint64_t address_of(const struct kallsyms *table, enum way way, uint64_t base,
                           size_t i)
{
    uint64_t number = table->symbols[i].address;

    switch (way) {
    case WAY_PLACE: return base + 4 * i + number; /* from the entry's own address */
    case WAY_BASE: return base + (number & UINT32_MAX);
    /* Offsets of per-CPU variables are kept as they are; the others are negative. */
    case WAY_PERCPU: return number >> 63 ? base - 1 - number : number;
    default: return number;
    }
}

bool kallsyms_make_addresses(struct kallsyms *table,
                             const struct kallsyms_location *location, uint64_t base,
                             size_t stext)
{
    enum way way = WAY_PLACE;

    while (way < WAYS && (!is_possible(location, way) ||
                          address_of(table, way, base, stext) != location->stext))
        way++;
    if (way == WAYS)
        return false;
    for (size_t i = 0; i < table->count; i++)
        table->symbols[i].address = address_of(table, way, base, i);
    return true;
}
