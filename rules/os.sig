# What the first segment of a connection (TCP's SYN) looks like, by the system that sends it. `os signatures FILE` in
# postern.conf; each line is
#
#   FAMILY  LABEL  TTL  WINDOW  SCALE  MSS  OPTIONS  [QUIRKS]
#
# FAMILY   linux, windows, macos, freebsd, openbsd, solaris, embedded, scanner or other: the finding is OS_LINUX and so on
# LABEL    for people, in quotes if it has blanks
# TTL      as it is sent: 64. It matches what arrives with up to 32 less, and the difference is the number of hops
# WINDOW   bytes as sent: 8192, 4096-8192; mss*44, mss*2-4: so many times the MSS of this segment; %1024: a multiple; *: any
# SCALE    of later windows: 7, 2-10; -: the option is not there; *: any
# MSS      bytes; -: the option is not there; *: any
# OPTIONS  in order: eol nop mss ws (window scale) sok (selective acknowledgements permitted) ts (timestamps) tfo (fast open)
#          mptcp (multipath), ? for any other; -: none; *: any
# QUIRKS   what else must be so, or with a ! in front must not; what is not mentioned may be either way:
#            ipv6    it came by IPv6                    flow    IPv6: a flow label
#            df      must not be fragmented (with IPv6 always)
#            id      IPv4: df, and an identification all the same    noid    IPv4: no df, and no identification
#            ecn     explicit congestion notification   seq0    the sequence number is 0
#            ack     an acknowledgement number          urg     an urgent pointer or flag
#            push    the push flag                      ts0     its own timestamp is 0
#            ts2     the other's timestamp is not 0     pad     bytes behind eol that are not 0
#            scale   a window scale above 14            bad     malformed options, or more than 16
#
# The first line that matches counts. What matches none is OS_UNKNOWN, and its evidence in the log (behind the hops) is a line
# for this file that only lacks FAMILY and LABEL in front.
#
# Where the facts come from: initial TTLs and the order of options are fixed in the systems' sources (Linux net/ipv4/tcp_output.c,
# BSD sys/netinet/tcp_output.c, XNU bsd/netinet, lwIP src/core/tcp_out.c), first windows in their defaults and release notes; Windows
# and Solaris as anybody can see them in a packet capture.

# --- Linux: selective acknowledgements and timestamps share a word, the scale comes last
linux     "Linux 4.20 and later"              64   mss*44-122   *     *     mss,sok,ts,nop,ws              df
linux     "Linux 3.11 to 4.19"                64   mss*20       *     *     mss,sok,ts,nop,ws              df
linux     "Linux 2.6.39 to 3.10"              64   mss*10       *     *     mss,sok,ts,nop,ws              df
linux     "Linux 2.4"                         64   mss*4        0     *     mss,sok,ts,nop,ws              df
linux     "Linux 2.6"                         64   mss*2-4      1-9   *     mss,sok,ts,nop,ws              df
linux     "Linux on the same machine"         64   mss*1        *     *     mss,sok,ts,nop,ws              df
linux     "Linux or Android"                  64   *            *     *     mss,sok,ts,nop,ws              df
linux     "Linux with fast open"              64   *            *     *     mss,sok,ts,nop,ws,tfo,nop,nop  df
linux     "Linux with multipath TCP"          64   *            *     *     mss,sok,ts,nop,ws,mptcp        df
linux     "Linux without timestamps"          64   *            *     *     mss,nop,nop,sok,nop,ws         df
linux     "Linux without acknowledgements"    64   *            *     *     mss,nop,nop,ts,nop,ws          df
linux     "Linux without window scaling"      64   *            -     *     mss,sok,ts                     df

# --- Windows: a TTL of 128, each option on words of its own
windows   "Windows 10, Server 2016 and later" 128  64240        8     *     mss,nop,ws,nop,nop,sok         df
windows   "Windows 10, Server 2016 and later" 128  65535        8     *     mss,nop,ws,nop,nop,sok         df
windows   "Windows Vista to 8, Server 2008 to 2012" 128 8192    *     *     mss,nop,ws,nop,nop,sok         df
windows   "Windows with timestamps"           128  *            *     *     mss,nop,ws,sok,ts              df
windows   "Windows XP, Server 2003"           128  *            -     *     mss,nop,nop,sok                df
windows   "Windows XP with timestamps"        128  *            *     *     mss,nop,ws,nop,nop,ts,nop,nop,sok df
windows   "Windows"                           128  *            *     *     mss,nop,ws,nop,nop,sok

# --- Apple: acknowledgements behind timestamps, and an end
macos     "macOS or iOS"                      64   65535        *     *     mss,nop,ws,nop,nop,ts,sok,eol  df
macos     "macOS or iOS"                      64   *            *     *     mss,nop,ws,nop,nop,ts,sok,eol

# --- BSD
freebsd   "FreeBSD"                           64   65535        *     *     mss,nop,ws,sok,ts              df
freebsd   "FreeBSD"                           64   *            *     *     mss,nop,ws,sok,ts
freebsd   "FreeBSD without timestamps"        64   65535        *     *     mss,nop,ws,sok,eol             df
openbsd   "OpenBSD"                           64   *            *     *     mss,nop,nop,sok,nop,ws,nop,nop,ts
other     "NetBSD"                            64   *            *     *     mss,nop,ws,sok,nop,nop,nop,nop,ts

# --- Solaris and what came from it
solaris   "Solaris 10"                        64   mss*34       0     *     mss,nop,ws,nop,nop,sok         df
solaris   "Solaris 10"                        64   49640        0     *     mss,nop,ws,nop,nop,sok         df
solaris   "Solaris or illumos"                64   *            *     *     sok,ts,mss,nop,ws              df
solaris   "Solaris 8"                         64   *            *     *     nop,ws,nop,nop,ts,nop,nop,sok,mss df
other     "HP-UX 11"                          64   32768        0     *     mss,ws,nop                     df

# --- programs that make segments of their own
scanner   "ZMap or its like"                  255  65535        -     -     -                              !df
scanner   "masscan or its like"               255  1024         -     *     *                              !df
scanner   "a SYN without any option"          255  *            -     -     -
scanner   "nmap or its like"                  64   1024         -     1460  mss                            !df

# --- devices
embedded  "Cisco IOS"                         255  4128         -     *     mss
embedded  "lwIP"                              255  *            -     *     mss
embedded  "lwIP with window scaling"          255  *            *     *     mss,nop,ws
embedded  "lwIP with acknowledgements"        255  *            -     *     mss,nop,nop,sok
embedded  "lwIP with timestamps"              255  *            -     *     mss,nop,nop,ts
embedded  "lwIP with timestamps and scaling"  255  *            *     *     mss,nop,nop,ts,nop,ws
embedded  "lwIP with all its options"         255  *            *     *     mss,nop,nop,ts,nop,ws,nop,nop,sok
embedded  "a device with a small TCP"         64   1-16384      -     *     mss                            !bad
embedded  "a device with a small TCP"         128  1-16384      -     *     mss                            !bad
