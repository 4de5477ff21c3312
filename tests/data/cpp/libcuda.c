/* A driver's library without a driver: what it answers stands in the file that FAKE_CUDA names.
 *
 * "ANSWER FREE TOTAL": what contexts answer (0: all is well), and bytes of the card. There is one context, and
 * every thread has it.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int answer;
    size_t available;
    size_t total;
} Card;

static Card look(void)
{
    Card card = {0, 0, 0};
    const char *path = getenv("FAKE_CUDA");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fscanf(file, "%d %zu %zu", &card.answer, &card.available, &card.total) != 3)
            card.answer = 999;
        fclose(file);
    }
    return card;
}

int cuCtxGetCurrent(void **context)
{
    static int here;
    *context = &here;
    return 0;
}

int cuCtxSynchronize(void)
{
    return look().answer;
}

int cuDeviceGetCount(int *count)
{
    *count = 0;
    return 0;
}

int cuGetErrorName(int code, const char **name)
{
    *name = code == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_UNKNOWN";
    return 0;
}

int cuMemGetInfo_v2(size_t *available, size_t *total)
{
    Card card = look();
    *available = card.available;
    *total = card.total;
    return card.answer;
}
