/* Processors in C and C++ for eas-engine: one header, for C99 and for C++.
 *
 * A processor is a shared library that service.json names (processor_type "cpp", processor_entry "libX.so").
 * There are two ways to write one:
 *
 *   The versioned interface: export eas_processor_v1(). Requests with head, deadline and cancellation, answers
 *   with status and header fields, a batch call that knows its count, an end. In C++ take <eas/processor.hpp>,
 *   a class over it.
 *
 *   The plain interface of PAI-EAS: export initialize() and process(). Existing libraries run unchanged. Its
 *   declarations are below, for those who define EAS_PLAIN_INTERFACE before they include this file.
 *
 * A library that exports both is used by the versioned one.
 *
 * Threads: initialize is called once, before everything else. process is called by rpc.worker_threads threads
 * (5 unless set) at the same time; what they share is the processor's to protect. An exception that leaves a
 * function of either interface, and every other crash, ends the instance: the requests inside get 500 and a
 * new instance is started.
 */
#ifndef EAS_PROCESSOR_H
#define EAS_PROCESSOR_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#define EAS_VISIBLE __attribute__((visibility("default")))
#else
#define EAS_VISIBLE
#endif

#ifdef __cplusplus
#define EAS_EXPORT extern "C" EAS_VISIBLE
extern "C" {
#else
#define EAS_EXPORT EAS_VISIBLE
#endif

/* ---- the versioned interface ---------------------------------------------------------------------------- */

/* Of the structures below. Members are only ever added at the end of one, and struct_size says how much of it
 * the other side knows; anything else would be version 2, with a function of another name. */
#define EAS_ABI_VERSION 1u

/* Room for a request id and its closing 0. */
#define EAS_REQUEST_ID_SIZE 192

/* Some characters, not closed by a 0. data is NULL where there is nothing of that name. */
typedef struct eas_text {
    const char *data;
    size_t size;
} eas_text;

/* One header field; both closed by a 0. */
typedef struct eas_header {
    const char *name;
    const char *value;
} eas_header;

/* One HTTP request. It and all that it points to are valid until the call that got it returns.
 * The functions eas_request_... below read the head; nothing is parsed before somebody asks. */
typedef struct eas_request {
    uint32_t struct_size;
    uint32_t reserved;
    const void *body; /* the client's bytes, where they were received; never NULL, empty for GET and HEAD */
    size_t body_size;
    const char *head; /* request line and header lines as they came, separated by CRLF; may be empty */
    size_t head_size;
    double deadline; /* seconds of CLOCK_MONOTONIC: then the engine answers 408 by itself */
    const volatile uint8_t *cancelled; /* not 0: nobody waits for the answer any more. May change at any time */
    uint64_t id_number; /* with id_prefix: the id of a request that brings none */
    const char *id_prefix;
} eas_request;

/* A status of eas_response: the processor failed at this request. The body is the message, one for the client; it
 * is sent as 400 with X-EAS-Error: processor_exception, without the header fields, and it is in the log. An engine
 * that doesn't know of it sends 400. */
#define EAS_RAISED (-10400)

/* The answer, to be filled in. It comes as an empty one with status 200. */
typedef struct eas_response {
    uint32_t struct_size;
    int32_t status; /* 200 to 599, or EAS_RAISED; 0 means 200, anything else is sent as 400 */
    const void *body; /* may be NULL when body_size is 0 */
    size_t body_size;
    const eas_header *headers; /* may be NULL when header_count is 0 */
    size_t header_count;
    /* Called once with context when body and headers have been copied. NULL: nothing is to be released; what
     * the answer points to must stay as it is until the same thread is called again. */
    void (*release)(void *context);
    void *context;
} eas_response;

/* What eas_processor_v1 returns. Either process or process_batch may be NULL, and so may destroy. */
typedef struct eas_processor {
    uint32_t abi_version; /* EAS_ABI_VERSION */
    uint32_t struct_size; /* sizeof(eas_processor) */
    /* Makes the processor ready and says in *processor what the other functions get.
     * model_entry: absolute path of the model, a directory ends in "/"; "" without a model.
     * model_config: the text of model_config in service.json, "" without one.
     * Returns 0, or any other number when it can't serve; then the text that it has put into message (up to
     * message_size bytes with the closing 0) is told to the operator. */
    int (*initialize)(const char *model_entry, const char *model_config, void **processor, char *message,
                      size_t message_size);
    /* Answers one request. */
    void (*process)(void *processor, const eas_request *request, eas_response *response);
    /* Answers count requests, responses[i] for requests[i]; used where the service batches (rpc.batching), and
     * with one request where there is no process. */
    void (*process_batch)(void *processor, const eas_request *const *requests,
                          eas_response *const *responses, size_t count);
    /* The end: no call is running, none will come. Not called when the process is killed. */
    void (*destroy)(void *processor);
} eas_processor;

/* To be defined by the library. Called once; what it returns must stay. */
EAS_VISIBLE const eas_processor *eas_processor_v1(void);

/* ---- reading a request ---------------------------------------------------------------------------------- */

/* Private: from `from` up to `end` or the first of two characters. */
static inline size_t eas_span_(const char *from, const char *end, char one, char other) {
    const char *at = from;
    while (at < end && *at != one && *at != other) ++at;
    return (size_t)(at - from);
}

/* Private: the n-th word of the request line; its target without scheme and authority (RFC 9112, 3.2.2). */
static inline eas_text eas_target_(const eas_request *request) {
    const char *at = request->head, *end = at + request->head_size;
    eas_text target = {"", 0};
    end = at + eas_span_(at, end, '\r', '\r');
    at += eas_span_(at, end, ' ', ' ');
    if (at == end) return target;
    ++at;
    target.data = at;
    target.size = eas_span_(at, end, ' ', ' ');
    if (target.size == 0 || *at == '/') return target;
    end = at + target.size;
    while (end - at >= 3 && memcmp(at, "://", 3) != 0) ++at;
    if (end - at < 3) return target;
    at += 3;
    at += eas_span_(at, end, '/', '?');
    target.data = at;
    target.size = (size_t)(end - at);
    return target;
}

/* Private: equal but for the case of ASCII letters. */
static inline int eas_same_name_(const char *one, const char *other, size_t size) {
    size_t at;
    for (at = 0; at < size; ++at) {
        const char a = one[at], b = other[at];
        const char small_a = (a >= 'A' && a <= 'Z') ? (char)(a + 32) : a;
        const char small_b = (b >= 'A' && b <= 'Z') ? (char)(b + 32) : b;
        if (small_a != small_b) return 0;
    }
    return 1;
}

/* "POST", "GET" or "HEAD". */
static inline eas_text eas_request_method(const eas_request *request) {
    eas_text method;
    method.data = request->head;
    method.size = eas_span_(request->head, request->head + request->head_size, ' ', '\r');
    return method;
}

/* The path of the URL, /api/predict/<name>[/suffix], percent-encoded as the client sent it. */
static inline eas_text eas_request_path(const eas_request *request) {
    eas_text path = eas_target_(request);
    path.size = eas_span_(path.data, path.data + path.size, '?', '?');
    if (path.size == 0) {
        path.data = "/";
        path.size = request->head_size ? 1 : 0;
    }
    return path;
}

/* What follows the "?" of the URL, percent-encoded; empty without one. */
static inline eas_text eas_request_query(const eas_request *request) {
    eas_text target = eas_target_(request), query = {"", 0};
    const size_t path = eas_span_(target.data, target.data + target.size, '?', '?');
    if (path < target.size) {
        query.data = target.data + path + 1;
        query.size = target.size - path - 1;
    }
    return query;
}

/* Goes through the header fields in the order in which they came: begin with *cursor = 0; returns 0 after the
 * last one. */
static inline int eas_request_next_header(const eas_request *request, size_t *cursor, eas_text *name,
                                          eas_text *value) {
    const char *end = request->head + request->head_size, *at, *line_end;
    if (*cursor == 0) *cursor = eas_span_(request->head, end, '\n', '\n') + 1;
    while (*cursor < request->head_size) {
        at = request->head + *cursor;
        line_end = at + eas_span_(at, end, '\r', '\n');
        *cursor = (size_t)(line_end - request->head) + 1;
        name->data = at;
        name->size = eas_span_(at, line_end, ':', ':');
        at += name->size;
        if (at == line_end) continue; /* between \r and \n, or the blank line at the end */
        for (++at; at < line_end && (*at == ' ' || *at == '\t');) ++at;
        while (line_end > at && (line_end[-1] == ' ' || line_end[-1] == '\t')) --line_end;
        value->data = at;
        value->size = (size_t)(line_end - at);
        return 1;
    }
    return 0;
}

/* The value of the first field of that name, in any case; data is NULL when there is none. */
static inline eas_text eas_request_header(const eas_request *request, const char *name) {
    const size_t size = strlen(name);
    eas_text found, value, none = {NULL, 0};
    size_t cursor = 0;
    while (eas_request_next_header(request, &cursor, &found, &value)) {
        if (found.size == size && eas_same_name_(found.data, name, size)) return value;
    }
    return none;
}

/* The client's X-Request-Id if it is 1 to 128 visible ASCII characters, else one made here; it is what the
 * answer's X-Request-Id and the engine's log say. Returns its length; text is closed by a 0. */
static inline size_t eas_request_id(const eas_request *request, char text[EAS_REQUEST_ID_SIZE]) {
    const eas_text given = eas_request_header(request, "x-request-id");
    const size_t prefix = strlen(request->id_prefix);
    char digits[16];
    uint64_t rest = request->id_number;
    size_t at, count = 0, good = given.data != NULL && given.size >= 1 && given.size <= 128;
    for (at = 0; good && at < given.size; ++at) good = given.data[at] >= 0x21 && given.data[at] <= 0x7e;
    if (good) {
        memcpy(text, given.data, given.size);
        text[given.size] = '\0';
        return given.size;
    }
    for (; rest != 0 || count < 4; rest /= 16) digits[count++] = "0123456789abcdef"[rest % 16];
    at = prefix < EAS_REQUEST_ID_SIZE - 18 ? prefix : EAS_REQUEST_ID_SIZE - 18;
    memcpy(text, request->id_prefix, at);
    text[at++] = '-';
    while (count > 0) text[at++] = digits[--count];
    text[at] = '\0';
    return at;
}

/* ---- answering ------------------------------------------------------------------------------------------ */

/* Answers with a copy of some bytes. Returns 0; without memory for it 500 is answered and -1 returned. */
static inline int eas_respond(eas_response *response, int status, const void *data, size_t size) {
    void *copy = malloc(size ? size : 1);
    response->status = copy ? status : 500;
    response->body = copy;
    response->body_size = copy ? size : 0;
    response->release = copy ? free : NULL;
    response->context = copy;
    if (copy && size) memcpy(copy, data, size);
    return copy ? 0 : -1;
}

/* ---- the plain interface -------------------------------------------------------------------------------- */

#ifdef EAS_PLAIN_INTERFACE

/* Required. model_entry and model_config as above, neither ever NULL. The result is passed to every other
 * function, NULL as well. *state is 0 when called; anything else afterwards ends the start. */
EAS_VISIBLE void *initialize(const char *model_entry, const char *model_config, int *state);

/* Required, unless async_process is there. input is never NULL. *output comes from malloc (the engine calls
 * free), or is NULL with *output_size 0. Returns 0 or 200 for success, else the HTTP status (201 to 599) that
 * is sent with the output; what is none is sent as 400. */
EAS_VISIBLE int process(void *model, const void *input, int input_size, void **output, int *output_size);

/* Optional, and then used instead of process: returns at once, and calls done for this request_id later from
 * any thread. finished 0: a part of the answer, more will come. Otherwise the answer ends here, and error_code
 * (0 or 200 for success, else as process returns it) decides the status. output is copied during the call and
 * stays the processor's. input is valid until the answer has ended. */
typedef void (*DoneCallback)(const char *output, int output_size, int64_t request_id, int finished,
                             int error_code);
EAS_VISIBLE void async_process(void *model, const void *input, int input_size, int64_t request_id,
                               DoneCallback done);

/* Optional; used instead of process when service.json has metadata.rpc.cpp_batch: true. Arrays of count
 * elements. The published signature ends before count: the arrays of pointers therefore also end in a NULL,
 * that of sizes in a 0, and a function that doesn't know of count never looks at it. What it returns is
 * the status of every request in the batch; but when that is an error (400 to 599, or what is no status) of
 * several, it is called again with each half of them, until the request to blame has its own. */
EAS_VISIBLE int batch_process(void *model, const void *inputs[], int *input_sizes, void *outputs[],
                              int *output_sizes, int count);

/* Optional: a protobuf message ServingModelInfo { string model_path = 1; }, written into the log at start.
 * *output as in process. */
EAS_VISIBLE int get_serving_model_info(void *model, void **output, int *output_size);

#endif /* EAS_PLAIN_INTERFACE */

#ifdef __cplusplus
}
#endif

#endif /* EAS_PROCESSOR_H */
