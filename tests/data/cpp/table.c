/* The versioned interface in C, field by field. The body says what the response is made of.
 * -DVERSION=2 claims another version, -DSIZE=8 another size, -DONLY_BATCH has no process. */

#include <stdio.h>

#include <eas/processor.h>

#ifndef VERSION
#define VERSION EAS_ABI_VERSION
#endif
#ifndef SIZE
#define SIZE sizeof(eas_processor)
#endif

static int released;

static void count_release(void *context) {
    ++released;
    free(context);
}

static int make(const char *model_entry, const char *model_config, void **processor, char *message, size_t size) {
    (void)model_entry;
    if (strcmp(model_config, "refuse") == 0) {
        snprintf(message, size, "%s", "told to refuse");
        return 3;
    }
    *processor = &released;
    return 0;
}

static int is(const eas_request *request, const char *text) {
    return request->body_size == strlen(text) && memcmp(request->body, text, request->body_size) == 0;
}

static void answer(void *processor, const eas_request *request, eas_response *response) {
    static const eas_header null_field[] = {{"X-A", NULL}};
    char text[64];
    /* What the compiler makes of the structures, if that is what the host says of them. */
    int length = snprintf(text, sizeof text, "%u %u %d",
                          request->struct_size == sizeof *request ? (unsigned)sizeof *request : 0u,
                          response->struct_size == sizeof *response ? (unsigned)sizeof *response : 0u,
                          *(int *)processor);
    if (is(request, "released")) {
        eas_respond(response, 200, text, (size_t)length);
        response->release = count_release;
    } else if (is(request, "wrong")) {
        response->body_size = 9;
    } else if (is(request, "zero")) {
        response->status = 0;
    } else if (is(request, "far")) {
        response->body = "x";
        response->body_size = (size_t)-1;
        response->status = 201;
    } else if (is(request, "field")) {
        response->headers = null_field;
        response->header_count = 1;
    } else if (!is(request, "nothing")) {
        eas_respond(response, 200, request->body, request->body_size);
    }
}

#ifdef ONLY_BATCH
static void answer_all(void *processor, const eas_request *const *requests, eas_response *const *responses,
                       size_t count) {
    size_t at;
    for (at = 0; at < count; ++at) answer(processor, requests[at], responses[at]);
}
#endif

static const eas_processor table = {VERSION, (uint32_t)SIZE, make,
#ifdef ONLY_BATCH
                                    NULL,    answer_all,
#else
                                    answer,  NULL,
#endif
                                    NULL};

const eas_processor *eas_processor_v1(void) { return &table; }
