/* flows ADDRESS N -- sends a datagram to each of its ports from 20000 up to 20000 + N, all from one port: so many connections to who keeps them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { PORT = 20000 };

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), sent = 0;

	if (argc != 3 || fd < 0 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	for (long i = 0, n = strtol(argv[2], NULL, 10); i < n; i++) {
		to.sin_port = htons((uint16_t)(PORT + i));
		while (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			if (errno != ECONNREFUSED && errno != ENOBUFS) {
				perror("sendto");
				return 1;
			}
		sent++;
	}
	printf("%d sent\n", sent);
	return 0;
}
