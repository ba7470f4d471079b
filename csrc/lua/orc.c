/* Unwinding by ORC tables: the tables of a kernel are a userdata, made once; a walk returns
 * all that it found at once. */
#include "guest/orc_walk.h"
#include "memory.h"

static const char TYPE[] = "qvm.orc";

/* Names of the registers, as the vCPUs of x86_64 dumps have them. */
static const char *const names[REG_COUNT] = {
    [REG_R15] = "r15",      [REG_R14] = "r14",
    [REG_R13] = "r13",      [REG_R12] = "r12",
    [REG_BP] = "rbp",       [REG_BX] = "rbx",
    [REG_R11] = "r11",      [REG_R10] = "r10",
    [REG_R9] = "r9",        [REG_R8] = "r8",
    [REG_AX] = "rax",       [REG_CX] = "rcx",
    [REG_DX] = "rdx",       [REG_SI] = "rsi",
    [REG_DI] = "rdi",       [REG_ORIG_AX] = "orig_rax",
    [REG_IP] = "rip",       [REG_CS] = "cs",
    [REG_FLAGS] = "rflags", [REG_SP] = "rsp",
    [REG_SS] = "ss"};

/* Its user value is the handle of the space that the tables are in. */
struct lua_orc {
    struct orc_tables tables;
    struct orc_table table[];
};

static uint64_t get_field(lua_State *L, const char *name)
{
    uint64_t value;

    lua_getfield(L, -1, name);
    value = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void get_table(lua_State *L, lua_Integer i, struct orc_table *table)
{
    uint64_t count;

    luaL_argexpected(L, lua_rawgeti(L, 2, i) == LUA_TTABLE, 2, "array of tables");
    count = get_field(L, "count");
    *table = (struct orc_table){.first = get_field(L, "first"),
                                .last = get_field(L, "last"),
                                .ips = get_field(L, "ips"),
                                .entries = get_field(L, "entries"),
                                .count = count < ORC_ENTRIES_MAX ? (uint32_t)count
                                                                 : ORC_ENTRIES_MAX};
    lua_pop(L, 1);
}

/* The form of the first table, which is the kernel's. 0, or -1. */
static int detect_form(lua_State *L, struct lua_orc *orc, struct qvm_error *err)
{
    struct orc_census census = {0};

    orc->tables.form = ORC_UNKNOWN;
    while (orc->tables.count > 0 &&
           orc_detect(orc->tables.space, orc->table, &census, &orc->tables.form, err) != 0)
        if (!poll_incomplete(L, err))
            return -1;
    if (orc->tables.form == ORC_UNKNOWN)
        return qvm_fail(err, QVM_UNSUPPORTED, "its ORC tables have an unknown form");
    return 0;
}

/* orc(space, {{first, last, ips, entries, count}, ...}): the tables, the kernel's first. */
static int core_orc(lua_State *L)
{
    struct opened_memory memory = check_memory(L);
    struct lua_orc *orc;
    struct qvm_error err;
    lua_Unsigned count;

    luaL_argexpected(L, memory.space, 1, "Space");
    luaL_checktype(L, 2, LUA_TTABLE);
    if (!memory.dump)
        return push_closed(L);
    count = lua_rawlen(L, 2);
    luaL_argcheck(L, count <= ORC_TABLES_MAX, 2, "too many tables");
    orc = lua_newuserdatauv(L, sizeof *orc + (size_t)count * sizeof orc->table[0], 1);
    orc->tables = (struct orc_tables){
        .space = memory.space, .count = (size_t)count, .table = orc->table};
    for (lua_Unsigned i = 0; i < count; i++)
        get_table(L, (lua_Integer)i + 1, &orc->table[i]);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, TYPE);
    return detect_form(L, orc, &err) == 0 ? 1 : push_failure(L, &err);
}

/* The tables that are argument 2. They must be of the same dump as the space of argument 1,
 * which is pinned. */
static struct lua_orc *check_orc(lua_State *L)
{
    struct lua_orc *orc = luaL_checkudata(L, 2, TYPE);
    struct space_handle *stacks = lua_touserdata(L, 1), *tables;

    lua_getiuservalue(L, 2, 1);
    tables = lua_touserdata(L, -1);
    luaL_argcheck(L, stacks->dump == tables->dump, 2, "tables of another dump");
    lua_pop(L, 1);
    return orc;
}

/* The registers that the table at index 3 has. */
static struct orc_registers get_registers(lua_State *L)
{
    struct orc_registers registers = {.known = 0};

    luaL_checktype(L, 3, LUA_TTABLE);
    for (unsigned i = 0; i < REG_COUNT; i++) {
        if (lua_getfield(L, 3, names[i]) != LUA_TNIL) {
            registers.value[i] = (uint64_t)luaL_checkinteger(L, -1);
            registers.known |= 1u << i;
        }
        lua_pop(L, 1);
    }
    luaL_argcheck(L, registers.known & 1u << REG_IP && registers.known & 1u << REG_SP, 3,
                  "rip and rsp expected");
    return registers;
}

static void push_frames(lua_State *L, const struct orc_walk *walk)
{
    static const char *const hows[] = {
        [FRAME_ORC] = "orc", [FRAME_POINTER] = "frame", [FRAME_EXCEPTION] = "exception"};

    lua_createtable(L, (int)walk->count, 0);
    for (size_t i = 0; i < walk->count; i++) {
        lua_createtable(L, 0, 4);
        set_u64(L, "address", walk->frames[i].address);
        set_string(L, "how", hows[walk->frames[i].how]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_registers(lua_State *L, const struct orc_registers *registers)
{
    lua_createtable(L, 0, REG_COUNT);
    for (unsigned i = 0; i < REG_COUNT; i++)
        if (registers->known & 1u << i)
            set_u64(L, names[i], registers->value[i]);
}

/* orc_walk(space, tables, registers, exact): the frames after the first one, as {address,
 * how}; how it ended: "end", "user", "lost", "full"; and the registers there. Or nil,
 * message, code. See orc_walk.h. */
static int method_walk(lua_State *L)
{
    static const char *const ends[] = {[WALK_END] = "end",
                                       [WALK_USER] = "user",
                                       [WALK_LOST] = "lost",
                                       [WALK_FULL] = "full"};
    struct opened_memory memory = check_memory(L);
    struct orc_registers registers;
    struct orc_walk walk;
    struct qvm_error err;
    struct lua_orc *orc;

    luaL_argexpected(L, memory.space, 1, "Space");
    orc = check_orc(L);
    registers = get_registers(L);
    if (!memory.dump)
        return push_closed(L);
    orc_walk_init(&walk, &orc->tables, memory.space, &registers, lua_toboolean(L, 4));
    while (orc_walk(&walk, &err) != 0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    push_frames(L, &walk);
    lua_pushstring(L, ends[walk.end]);
    push_registers(L, &walk.registers);
    return 3;
}

/* orc_entry(space, tables, i): entry i of the kernel's table, from 0: the address that it
 * begins at; its type; the base of sp and its offset; the base of bp and its offset. A base
 * is the name of a register, "previous", "*rbp" or "*rsp" (see orc.h), or "none". nil
 * beyond the last entry; nil, message, code. */
static int method_entry(lua_State *L)
{
    static const char *const bases[] = {
        [ORC_NONE] = "none",        [ORC_PREVIOUS_SP] = "previous",
        [ORC_AX] = "rax",           [ORC_DX] = "rdx",
        [ORC_DI] = "rdi",           [ORC_BP] = "rbp",
        [ORC_SP] = "rsp",           [ORC_R10] = "r10",
        [ORC_R13] = "r13",          [ORC_BP_INDIRECT] = "*rbp",
        [ORC_SP_INDIRECT] = "*rsp", [ORC_INVALID] = "invalid"};
    static const char *const types[] = {[ORC_UNDEFINED] = "undefined",
                                        [ORC_STACK_END] = "undefined",
                                        [ORC_CALL] = "call",
                                        [ORC_REGS] = "regs",
                                        [ORC_REGS_PARTIAL] = "partial",
                                        [ORC_BAD_TYPE] = "undefined"};
    struct opened_memory memory = check_memory(L);
    struct orc_entry entry;
    struct qvm_error err;
    struct lua_orc *orc;
    lua_Integer i;
    uint64_t ip;

    luaL_argexpected(L, memory.space, 1, "Space");
    orc = check_orc(L);
    i = luaL_checkinteger(L, 3);
    if (!memory.dump)
        return push_closed(L);
    if (orc->tables.count == 0 || i < 0 || i >= (lua_Integer)orc->table[0].count)
        return 0;
    while (orc_read(orc->tables.space, orc->table, orc->tables.form, (uint32_t)i, &ip,
                    &entry, &err) != 0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)ip);
    lua_pushstring(L, types[entry.type]);
    lua_pushstring(L, bases[entry.sp]);
    lua_pushinteger(L, entry.sp_offset);
    lua_pushstring(L, bases[entry.bp]);
    lua_pushinteger(L, entry.bp_offset);
    return 6;
}

void add_orc(lua_State *L)
{
    static const luaL_Reg functions[] = {{"orc", core_orc},
                                         {"orc_walk", method_walk},
                                         {"orc_entry", method_entry},
                                         {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    lua_pop(L, 1);
    add_pinned(L, functions, false);
}
