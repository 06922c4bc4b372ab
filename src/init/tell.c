#include "init/tell.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void init_tell(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!path || fd < 0 || strlen(path) >= sizeof(at.sun_path))
		return;
	strcpy(at.sun_path, path);
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&at, sizeof(at)) < 0)
		log_warn("cannot tell init: %m");
}
