/*
 * A packet is "$", data, "#" and two digits of a checksum, and is acknowledged by "+".
 * QEMU also sends a stop reply (T...) whenever the guest stops, asked or not, so packets
 * of that form are skipped. The socket is reliable: checksums are not checked.
 *
 * target.xml includes further files by name. Registers are numbered in the order in which
 * they appear; an attribute `regnum` sets the number.
 */
#define _GNU_SOURCE
#include "guest/rsp.h"

#include "util/file.h"
#include "util/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 60, MOST_NUMBER = 65535 };

static bool send_packet(int fd, const char *data)
{
    struct text packet = {0};
    unsigned sum = 0;

    for (const char *at = data; *at; at++)
        sum += (unsigned char)*at;
    text_printf(&packet, "$%s#%02x", data, sum & 0xffU);
    bool good = !packet.failed && file_write(fd, packet.data, packet.length) == 0;
    text_free(&packet);
    return good;
}

static int receive_byte(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    unsigned char byte;
    int count;

    do
        count = poll(&ready, 1, ANSWER_SECONDS * 1000);
    while (count < 0 && errno == EINTR);
    return count > 0 && recv(fd, &byte, 1, 0) == 1 ? byte : -1;
}

/* Receives a packet. In its data, "}" stands before a byte whose bit 5 is inverted. */
static bool receive_packet(int fd, struct text *data)
{
    int byte;

    text_free(data);
    do
        byte = receive_byte(fd);
    while (byte >= 0 && byte != '$');
    while (byte >= 0 && (byte = receive_byte(fd)) >= 0 && byte != '#') {
        if (byte == '}')
            byte = receive_byte(fd) ^ 0x20;
        char c = (char)byte;
        text_bytes(data, &c, 1);
    }
    return byte >= 0 && receive_byte(fd) >= 0 && receive_byte(fd) >= 0 && !data->failed &&
           file_write(fd, "+", 1) == 0;
}

/* Sends a packet and receives the answer. */
static bool ask(int fd, const char *packet, struct text *answer)
{
    if (!send_packet(fd, packet))
        return false;
    do {
        if (!receive_packet(fd, answer))
            return false;
    } while (answer->length > 0 && answer->data[0] == 'T');
    return true;
}

/* Appends a file of the target description to `xml`. */
static bool read_description(int fd, const char *name, struct text *xml)
{
    struct text answer = {0};
    char packet[160];
    size_t offset = 0;
    bool more = true;
    bool good = true;

    while (good && more) {
        (void)snprintf(packet, sizeof packet, "qXfer:features:read:%s:%zx,ffb", name,
                       offset);
        good = ask(fd, packet, &answer) && answer.length > 0 &&
               (answer.data[0] == 'm' || answer.data[0] == 'l');
        if (good) {
            more = answer.data[0] == 'm' && answer.length > 1;
            text_bytes(xml, answer.data + 1, answer.length - 1);
            offset += answer.length - 1;
        }
    }
    text_free(&answer);
    return good && !xml->failed;
}

/* Blanks comments, some of which have elements in them. */
static void remove_comments(char *xml)
{
    for (char *at = xml; (at = strstr(at, "<!--"));) {
        char *end = strstr(at, "-->");
        if (!end)
            end = at + strlen(at);
        memset(at, ' ', (size_t)(end - at));
    }
}

/* Copies attribute `name` of the element at `element`, which ends at the next ">". */
static bool attribute(const char *element, const char *name, char *value, size_t size)
{
    const char *end = strchr(element, '>');
    char pattern[32];

    (void)snprintf(pattern, sizeof pattern, " %s=\"", name);
    const char *at = strstr(element, pattern);
    if (!end || !at || at > end)
        return false;
    at += strlen(pattern);
    size_t length = strcspn(at, "\"");
    if (length >= size)
        return false;
    memcpy(value, at, length);
    value[length] = '\0';
    return true;
}

/* Numbers the registers that a file describes, from *number on. */
static void take_numbers(const char *xml, unsigned *number, struct rsp_register *registers,
                         size_t count)
{
    char text[64];

    for (const char *at = strstr(xml, "<reg "); at; at = strstr(at + 1, "<reg ")) {
        if (attribute(at, "regnum", text, sizeof text))
            *number = (unsigned)strtoul(text, NULL, 10);
        if (*number > MOST_NUMBER || !attribute(at, "name", text, sizeof text))
            return;
        for (size_t i = 0; i < count; i++) {
            if (strcmp(registers[i].gdb_name, text) == 0)
                registers[i].number = *number;
        }
        ++*number;
    }
}

/* Reads all files that target.xml includes. */
static bool find_all(int fd, struct rsp_register *registers, size_t count)
{
    struct text target = {0};
    unsigned number = 0;
    char name[64];
    bool good = read_description(fd, "target.xml", &target) && target.length > 0;

    for (const char *at = good ? strstr(target.data, "<xi:include ") : NULL; at && good;
         at = strstr(at + 1, "<xi:include ")) {
        struct text xml = {0};
        good = attribute(at, "href", name, sizeof name) && read_description(fd, name, &xml);
        if (good && xml.length > 0) {
            remove_comments(xml.data);
            take_numbers(xml.data, &number, registers, count);
        }
        text_free(&xml);
    }
    text_free(&target);
    return good;
}

const char *rsp_find(int fd, struct rsp_register *registers, size_t count)
{
    struct text answer = {0};

    for (size_t i = 0; i < count; i++)
        registers[i].number = MOST_NUMBER;
    /* After this, QEMU gives the whole target description. */
    bool good =
        ask(fd, "qSupported:xmlRegisters=i386", &answer) && find_all(fd, registers, count);
    text_free(&answer);
    if (!good)
        return "answer";
    for (size_t i = 0; i < count; i++) {
        if (registers[i].number == MOST_NUMBER)
            return registers[i].gdb_name;
    }
    return NULL;
}

bool rsp_select(int fd, size_t vcpu)
{
    struct text answer = {0};
    char packet[32];

    (void)snprintf(packet, sizeof packet, "Hgp1.%zx", vcpu + 1);
    bool good =
        ask(fd, packet, &answer) && answer.length == 2 && memcmp(answer.data, "OK", 2) == 0;
    text_free(&answer);
    return good;
}

/* Two hexadecimal digits per byte, in the guest's byte order, which is little-endian. */
static bool parse(const struct text *hex, uint64_t *value)
{
    if (hex->length == 0 || hex->length % 2 || hex->length > 2 * sizeof *value)
        return false;
    *value = 0;
    for (size_t at = hex->length; at > 0; at -= 2) {
        char digits[3] = {hex->data[at - 2], hex->data[at - 1], '\0'};
        char *end;
        unsigned long byte = strtoul(digits, &end, 16);
        if (*end)
            return false;
        *value = *value << 8 | byte;
    }
    return true;
}

bool rsp_read(int fd, const struct rsp_register *which, uint64_t *value)
{
    struct text answer = {0};
    char packet[16];

    (void)snprintf(packet, sizeof packet, "p%x", which->number);
    bool good = ask(fd, packet, &answer) && parse(&answer, value);
    text_free(&answer);
    return good;
}
