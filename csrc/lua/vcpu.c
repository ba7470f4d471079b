/* The vCPUs of a dump: their registers as tables. Which registers there are, in which
 * order, and where in the bytes their values are, the core says in tables of fields;
 * nothing here knows a machine or a format. */
#include "dump_handle.h"
#include "util/bytes.h"

static int method_vcpu_count(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);

    if (!dump)
        return push_closed(L);
    lua_pushinteger(L, dump_vcpu_count(dump));
    return 1;
}

/* Pushes a table of values by the fields' names. */
static void push_fields(lua_State *L, const struct register_field *fields, size_t count,
                        const unsigned char *data, bool big_endian)
{
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++)
        set_u64(L, fields[i].name,
                bytes_get(data + fields[i].offset, fields[i].size, big_endian));
}

/* Pushes an array of the fields' names. */
static void push_names(lua_State *L, const struct register_field *fields, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, fields[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* Pushes the table of a vCPU. An extra register that has no name is in extra_bytes only. */
static void push_vcpu(lua_State *L, const struct vcpu *vcpu, unsigned index,
                      bool big_endian)
{
    const struct register_set *set = vcpu->set;

    lua_createtable(L, 0, 9);
    set_u64(L, "index", index);
    set_u64(L, "cpunum", vcpu->cpunum);
    set_string(L, "process", vcpu->process);
    set_u64(L, "pgtbl", vcpu->pgtbl);
    push_fields(L, set->fields, set->count, vcpu->registers, big_endian);
    lua_getfield(L, -1, set->fields[set->pc].name);
    lua_setfield(L, -3, "pc");
    lua_getfield(L, -1, set->fields[set->sp].name);
    lua_setfield(L, -3, "sp");
    lua_setfield(L, -2, "regs");
    push_fields(L, vcpu->extra_fields, vcpu->extra_count, vcpu->extra, big_endian);
    lua_setfield(L, -2, "extra");
    lua_pushlstring(L, (const char *)vcpu->extra, vcpu->extra_size);
    lua_setfield(L, -2, "extra_bytes");
}

static int vcpu_gc(lua_State *L)
{
    vcpu_free(lua_touserdata(L, 1));
    return 0;
}

/* vcpu(dump, index from 0): a table, the names of its registers in the architecture's order
 * and those of its extra ones in the dump's; nothing after the last. */
static int method_vcpu(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    lua_Integer index = luaL_checkinteger(L, 2), count;
    struct vcpu *vcpu;
    struct qvm_error err;

    if (!dump)
        return push_closed(L);
    count = (lua_Integer)dump_vcpu_count(dump) + (lua_Integer)dump_vcpus_lost(dump);
    if (index < 0 || index >= count)
        return 0;
    vcpu = new_scratch(L, sizeof *vcpu, "qvm.vcpu", vcpu_gc);
    while (dump_read_vcpu(dump, (unsigned)index, vcpu, &err) != 0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    push_vcpu(L, vcpu, (unsigned)index, dump->elf.big_endian);
    push_names(L, vcpu->set->fields, vcpu->set->count);
    push_names(L, vcpu->extra_fields, vcpu->extra_count);
    vcpu_free(vcpu);
    return 3;
}

void add_vcpus(lua_State *L)
{
    static const luaL_Reg plain[] = {{"vcpu_count", method_vcpu_count}, {NULL, NULL}};
    static const luaL_Reg pinned[] = {{"vcpu", method_vcpu}, {NULL, NULL}};

    luaL_setfuncs(L, plain, 0);
    add_pinned(L, pinned, false);
}
