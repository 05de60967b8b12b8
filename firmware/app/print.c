#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "app/app.h"

#define TEXT_MAX 4096

void pst_app_write(int fd, struct pst_span text)
{
	while (text.len) {
		ssize_t done = write(fd, text.at, text.len);
		struct pollfd wait = {.fd = fd, .events = POLLOUT};

		if (done > 0)
			text = pst_span_sub(text, (uint32_t)done, text.len);
		else if (done < 0 && errno == EAGAIN)
			poll(&wait, 1, -1);
		else if (done < 0 && errno != EINTR)
			return;
	}
}

static void print(int fd, const char *before, const char *format, va_list args)
{
	uint8_t area[TEXT_MAX];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	if (pst_buf_put_text(&text, before) || pst_buf_vprintf(&text, format, args))
		return;
	pst_app_write(fd, pst_buf_span(&text));
}

void pst_app_print(int fd, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(fd, "", format, args);
	va_end(args);
}

void pst_app_complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(STDERR_FILENO, "postern: ", format, args);
	va_end(args);
}
