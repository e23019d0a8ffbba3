/* Which network interfaces there are, by all the ways of asking. Of the machine's only the loopback is looked at. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}

static void by_library(void) {
    struct ifaddrs *all, *i;
    check(!getifaddrs(&all), "getifaddrs");
    for (i = all; i; i = i->ifa_next) {
        char address[64] = "", mask[64] = "";
        if (strcmp(i->ifa_name, "lo") || !i->ifa_addr) continue;
        int family = i->ifa_addr->sa_family;
        if (family == AF_INET) {
            inet_ntop(family, &((struct sockaddr_in*)i->ifa_addr)->sin_addr, address, sizeof address);
            inet_ntop(family, &((struct sockaddr_in*)i->ifa_netmask)->sin_addr, mask, sizeof mask);
        } else if (family == AF_INET6) {
            inet_ntop(family, &((struct sockaddr_in6*)i->ifa_addr)->sin6_addr, address, sizeof address);
            inet_ntop(family, &((struct sockaddr_in6*)i->ifa_netmask)->sin6_addr, mask, sizeof mask);
        } else {
            check(family == AF_PACKET && i->ifa_data, "a link has numbers");
        }
        printf("lo %d %s %s %x\n", family, address, mask, i->ifa_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_BROADCAST));
    }
    freeifaddrs(all);
    char name[IF_NAMESIZE] = "";
    check(if_nametoindex("lo") == 1 && if_indextoname(1, name) && !strcmp(name, "lo"), "names and indices");
    check(!if_nametoindex("none0") && errno == ENODEV, "no such name");
    check(!if_indextoname(9999, name) && errno == ENXIO, "no such index");
    struct if_nameindex* names = if_nameindex();
    check(names && names[0].if_index == 1 && !strcmp(names[0].if_name, "lo"), "if_nameindex");
    if_freenameindex(names);
}

static void by_ioctl(void) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {.ifr_name = "lo"}, many[16];
    check(!ioctl(s, SIOCGIFFLAGS, &r) && (r.ifr_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK), "flags");
    check(!ioctl(s, SIOCGIFADDR, &r), "an address");
    printf("%s", inet_ntoa(((struct sockaddr_in*)&r.ifr_addr)->sin_addr));
    check(!ioctl(s, SIOCGIFNETMASK, &r), "a mask");
    printf(" %s", inet_ntoa(((struct sockaddr_in*)&r.ifr_netmask)->sin_addr));
    check(!ioctl(s, SIOCGIFHWADDR, &r) && r.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK, "a hardware address");
    check(!ioctl(s, SIOCGIFMTU, &r), "an MTU");
    printf(" %d", r.ifr_mtu);
    check(!ioctl(s, SIOCGIFINDEX, &r), "an index");
    printf(" %d", r.ifr_ifindex);
    check(!ioctl(s, SIOCGIFNAME, &r), "a name");
    printf(" %s\n", r.ifr_name);
    struct ifconf c = {.ifc_len = sizeof many};
    c.ifc_req = many;
    check(!ioctl(s, SIOCGIFCONF, &c) && c.ifc_len >= (int)sizeof *many && c.ifc_len % sizeof *many == 0, "all");
    printf("%s %s\n", many[0].ifr_name, inet_ntoa(((struct sockaddr_in*)&many[0].ifr_addr)->sin_addr));
    int whole = c.ifc_len;
    c.ifc_req = NULL;
    check(!ioctl(s, SIOCGIFCONF, &c) && c.ifc_len == whole, "how much room");
    c.ifc_req = many, c.ifc_len = 10;
    check(!ioctl(s, SIOCGIFCONF, &c) && c.ifc_len == 0, "too little room");
    strcpy(r.ifr_name, "none0");
    check(ioctl(s, SIOCGIFADDR, &r) == -1 && errno == ENODEV, "no such interface");
    check(ioctl(s, SIOCGIFADDR, (void*)8) == -1 && errno == EFAULT, "nowhere");
    check(ioctl(0, SIOCGIFCONF, &c) == -1 && errno == ENOTTY, "no socket");
    close(s);
}

static struct sockaddr_nl name_of(int s) {
    struct sockaddr_nl n = {0};
    socklen_t length = sizeof n;
    check(!getsockname(s, (struct sockaddr*)&n, &length) && length == sizeof n && n.nl_family == AF_NETLINK, "a name");
    return n;
}

/* The first answer to a request for one link. */
static int ask(int s, int type, int flags, int index, struct nlmsghdr* answer, size_t room) {
    struct {
        struct nlmsghdr h;
        struct ifinfomsg i;
    } q = {{sizeof q, type, NLM_F_REQUEST | flags, 77, 0}, {0}};
    q.i.ifi_index = index;
    check(send(s, &q, sizeof q, 0) == sizeof q, "send");
    return (int)recv(s, answer, room, MSG_DONTWAIT);
}

static void by_netlink(void) {
    static union {
        struct nlmsghdr h;
        char bytes[32768];
    } a;
    check(socket(AF_NETLINK, SOCK_STREAM, 0) == -1 && errno == ESOCKTNOSUPPORT, "no streams");
    check(socket(AF_NETLINK, SOCK_RAW, 99) == -1 && errno == EPROTONOSUPPORT, "no such protocol");
    int pair[2];
    check(socketpair(AF_NETLINK, SOCK_RAW, 0, pair) == -1 && errno == EOPNOTSUPP, "no pairs");
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), other = socket(AF_NETLINK, SOCK_RAW, 0);
    check(s >= 0 && other >= 0, "socket");
    check(name_of(s).nl_pid == 0, "unbound");
    struct sockaddr_nl n = {.nl_family = AF_NETLINK}, from;
    check(!bind(s, (struct sockaddr*)&n, sizeof n) && name_of(s).nl_pid == (unsigned)getpid(), "the process's id");
    check(!bind(other, (struct sockaddr*)&n, sizeof n), "another one");
    check(name_of(other).nl_pid != 0 && name_of(other).nl_pid != (unsigned)getpid(), "has another id");
    n.nl_pid = getpid();
    check(bind(other, (struct sockaddr*)&n, sizeof n) == -1 && errno == EINVAL, "bound once");
    check(bind(s, (struct sockaddr*)&n, 4) == -1 && errno == EINVAL, "a short name");
    close(other);
    int value = 0;
    socklen_t length = sizeof value;
    check(!getsockopt(s, SOL_SOCKET, SO_TYPE, &value, &length) && value == SOCK_RAW, "its type");
    check(!getsockopt(s, SOL_SOCKET, SO_DOMAIN, &value, &length) && value == AF_NETLINK, "its domain");
    check(recv(s, a.bytes, 100, MSG_DONTWAIT) == -1 && errno == EAGAIN, "nothing yet");

    check(ask(s, RTM_GETLINK, 0, 1, &a.h, sizeof a) > (int)sizeof(struct nlmsghdr), "one link");
    struct ifinfomsg* i = NLMSG_DATA(&a.h);
    check(a.h.nlmsg_type == RTM_NEWLINK && a.h.nlmsg_seq == 77 && a.h.nlmsg_pid == (unsigned)getpid(), "its header");
    check(i->ifi_index == 1 && i->ifi_type == ARPHRD_LOOPBACK, "is the loopback");
    int left = (int)(a.h.nlmsg_len - NLMSG_LENGTH(sizeof *i));
    for (struct rtattr* r = IFLA_RTA(i); RTA_OK(r, left); r = RTA_NEXT(r, left)) {
        if (r->rta_type == IFLA_IFNAME) printf("netlink %s", (char*)RTA_DATA(r));
        if (r->rta_type == IFLA_MTU) printf(" %d\n", *(int*)RTA_DATA(r));
    }
    check(left == 0, "attributes end where they should");
    struct nlmsgerr* e = NLMSG_DATA(&a.h);
    check(ask(s, RTM_GETLINK, 0, 9999, &a.h, sizeof a) > 0 && a.h.nlmsg_type == NLMSG_ERROR && e->error == -ENODEV, "no such link");
    check(e->msg.nlmsg_seq == 77, "the error names its request");

    check(ask(s, RTM_GETADDR, NLM_F_DUMP, 0, &a.h, 16) == 16, "a dump, cut");
    int done = 0;
    while (!done) {
        socklen_t from_length = sizeof from;
        int whole = (int)recv(s, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        int got = (int)recvfrom(s, a.bytes, sizeof a, MSG_DONTWAIT, (struct sockaddr*)&from, &from_length);
        check(got > 0 && got == whole && from_length == sizeof from && from.nl_family == AF_NETLINK && from.nl_pid == 0, "from the kernel");
        for (struct nlmsghdr* h = &a.h; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
            check(h->nlmsg_flags & NLM_F_MULTI, "one of many");
            done |= h->nlmsg_type == NLMSG_DONE;
        }
    }
    check(recv(s, a.bytes, 100, MSG_DONTWAIT) == -1 && errno == EAGAIN, "no more");
    check(send(s, a.bytes, 3, 0) == 3, "less than a header is ignored");
    check(recv(s, a.bytes, 100, MSG_DONTWAIT) == -1 && errno == EAGAIN, "without an answer");
    n.nl_pid = 999999;
    check(sendto(s, a.bytes, 16, 0, (struct sockaddr*)&n, sizeof n) == -1 && errno == ECONNREFUSED, "nobody else");
    close(s);
}

int main(void) {
    by_library();
    by_ioctl();
    by_netlink();
    puts("interfaces");
}
