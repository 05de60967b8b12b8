# two of them, and an empty line

linux   "Linux, any"  64  *     *  *  mss,sok,ts,nop,ws  df
windows Windows       128 8192  8  *  mss,nop,ws,nop,nop,sok # old
