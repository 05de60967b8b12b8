/* board/qemu/loop.c - a counted loop: what the guest's clock makes of a known number of instructions (cost.py) */
#include <stdio.h>
#include <time.h>

#define ROUNDS 100000000L /* of two instructions each */

#if defined(__x86_64__)
#define ROUND "dec %0\n\tjnz 1b"
#elif defined(__aarch64__)
#define ROUND "sub %0, %0, #1\n\tcbnz %0, 1b"
#elif defined(__arm__)
#define ROUND "subs %0, %0, #1\n\tbne 1b"
#elif defined(__mips__)
#define ROUND ".set noreorder\n\tbnez %0, 1b\n\taddiu %0, %0, -1\n\t.set reorder"
#endif

static long long cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(void)
{
	long rounds = ROUNDS;
	long long begin = cpu_ns();

	__asm__ volatile("1:\t" ROUND : "+r"(rounds) : : "cc");
	printf("board: loop %ld instructions %lld ns\n", 2 * ROUNDS, cpu_ns() - begin);
	return 0;
}
