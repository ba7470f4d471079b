/* Declarations to compile slog2.c on other systems. The members of the packet's information
 * are documented (QNX C Library Reference, slog2_packet_info_t); the prototypes of
 * slog2_parse_all() and of its callback are those that public programs for QNX use. Not
 * QNX's header: values and layouts are made up. */
#ifndef QVM_SPEC_SLOG2_PARSE_H
#define QVM_SPEC_SLOG2_PARSE_H

#if !defined(_QNX_SOURCE)
#    error "documented: with -std= QNX's own declarations need _QNX_SOURCE"
#endif

#include <stdint.h>

#define SLOG2_PARSE_MAX_NAME_SIZE 64

#define SLOG2_PACKET_FLAGS_MONOTONIC 0x40u /* named in a public binding for 8.0 */

typedef enum {
    SLOG2_TYPE_ASCII_STRING = 11,
    SLOG2_TYPE_BINARY,
    SLOG2_TYPE_UNSYNC,
    SLOG2_TYPE_ONLINE
} slog2_packet_data_type_t;

typedef struct {
    uint32_t size;
    uint16_t sequence_number;
    uint16_t data_size;
    uint64_t timestamp;
    slog2_packet_data_type_t data_type;
    uint16_t thread_id;
    uint16_t code;
    uint8_t severity;
    char file_name[2 * SLOG2_PARSE_MAX_NAME_SIZE];
    char buffer_name[SLOG2_PARSE_MAX_NAME_SIZE];
    uint32_t owner_pid;
    uint32_t flags;
    uint32_t register_flags;
} slog2_packet_info_t;

#define SLOG2_PACKET_INFO_INIT              \
    {                                       \
        .size = sizeof(slog2_packet_info_t) \
    }

typedef int (*slog2_packet_callback)(slog2_packet_info_t *info, void *payload, void *param);

int slog2_parse_all(uint32_t flags, char *directory_path, char *match_list,
                    slog2_packet_info_t *packet_info, slog2_packet_callback callback,
                    void *param);

#endif
