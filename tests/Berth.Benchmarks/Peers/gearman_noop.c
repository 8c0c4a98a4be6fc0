// gearmand's own library on both ends: no-op tasks whose results come back.
//   gearman_noop worker PORT
//   gearman_noop client PORT COUNT TRIPS     prints tasks a second and the middle round trip in microseconds
// cc gearman_noop.c -lgearman
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// So many are under way at once, as there are callers of the others.
enum { TOGETHER = 64 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void check(gearman_return_t code, const char *what) {
  if (code != GEARMAN_SUCCESS) {
    fprintf(stderr, "%s: %s\n", what, gearman_strerror(code));
    exit(1);
  }
}

static gearman_return_t noop(gearman_job_st *job, void *context) {
  (void)context;
  return gearman_job_send_complete(job, "", 0);
}

static void work(in_port_t port) {
  gearman_worker_st *worker = gearman_worker_create(NULL);
  check(gearman_worker_add_server(worker, "127.0.0.1", port), "server");
  gearman_function_t function = gearman_function_create(noop);
  check(gearman_worker_define_function(worker, "noop", 4, function, 0, NULL), "function");
  for (;;) {
    gearman_worker_work(worker);
  }
}

static void run(gearman_client_st *client, int count) {
  for (int i = 0; i < count; i++) {
    gearman_return_t code;
    gearman_client_add_task(client, NULL, NULL, "noop", NULL, "-", 1, &code);
    check(code, "task");
  }
  check(gearman_client_run_tasks(client), "tasks");
  gearman_client_task_free_all(client);
}

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "worker") == 0) {
    work((in_port_t)atoi(argv[2]));
  }
  if (argc != 5 || strcmp(argv[1], "client") != 0) {
    fprintf(stderr, "usage: gearman_noop worker PORT | client PORT COUNT TRIPS\n");
    return 64;
  }
  gearman_client_st *client = gearman_client_create(NULL);
  check(gearman_client_add_server(client, "127.0.0.1", (in_port_t)atoi(argv[2])), "server");
  int count = atoi(argv[3]), trips = atoi(argv[4]);
  run(client, 1);
  double start = now();
  for (int left = count; left > 0; left -= TOGETHER) {
    run(client, left < TOGETHER ? left : TOGETHER);
  }
  double rate = count / (now() - start);
  double *times = calloc((size_t)trips, sizeof *times);
  for (int i = 0; i < trips; i++) {
    start = now();
    run(client, 1);
    times[i] = now() - start;
  }
  qsort(times, (size_t)trips, sizeof *times, ascending);
  printf("%f %f\n", rate, times[trips / 2] * 1e6);
  free(times);
  gearman_client_free(client);
  return 0;
}
