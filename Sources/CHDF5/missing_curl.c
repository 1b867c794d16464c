// Debian's archive of libhdf5 contains a driver for remote objects that wants libcurl. Assay opens local
// files only, so the driver gets functions that fail; they are weak, so that a program that links the real
// library keeps it.
#include "chdf5.h"

#define ABSENT __attribute__((weak, visibility("hidden")))

ABSENT int curl_global_init(long flags);
ABSENT void curl_global_cleanup(void);
ABSENT void *curl_easy_init(void);
ABSENT void curl_easy_cleanup(void *handle);
ABSENT int curl_easy_perform(void *handle);
ABSENT int curl_easy_setopt(void *handle, int option, ...);
ABSENT void *curl_slist_append(void *list, const char *text);
ABSENT void curl_slist_free_all(void *list);

int curl_global_init(long flags) { (void)flags; return 2; }
void curl_global_cleanup(void) {}
void *curl_easy_init(void) { return 0; }
void curl_easy_cleanup(void *handle) { (void)handle; }
int curl_easy_perform(void *handle) { (void)handle; return 2; }
int curl_easy_setopt(void *handle, int option, ...) { (void)handle; (void)option; return 48; }
void *curl_slist_append(void *list, const char *text) { (void)list; (void)text; return 0; }
void curl_slist_free_all(void *list) { (void)list; }
