linus   "no family"   64  *      *  *  mss
linux   "too short"   64  *      *
linux   "no TTL"      300 *      *  *  mss
linux   "no window"   64  mss*   *  *  mss
linux   "no scale"    64  *      x  *  mss
linux   "no MSS"      64  *      *  1k mss
linux   "no option"   64  *      *  *  mss,wss
linux   "no quirk"    64  *      *  *  mss  df,!
linux   "good"        64  *      *  *  mss  df
linux   "open
