package sandbox

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// minLandlock is the oldest version that can do what is needed: renaming
// between directories (2, Linux 5.19). Newer ones add walls: truncation (3), TCP (4),
// device ioctls (5), signals and abstract sockets (6).
const minLandlock = 2

// landlockSelf forbids, whatever else may have gone wrong: making devices,
// changing mounts, TCP, ioctls on devices, and reaching processes outside by
// signals, tracing or abstract sockets.
func landlockSelf() error {
	version, err := ll.LandlockGetABIVersion()
	if err != nil || version < minLandlock {
		return fmt.Errorf("the kernel has version %d, at least %d is needed: use Linux 5.19 or later and boot it with landlock in lsm=", version, minLandlock)
	}
	files := landlock.AccessFSSet(ll.AccessFSExecute | ll.AccessFSWriteFile | ll.AccessFSReadFile | ll.AccessFSReadDir |
		ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeDir | ll.AccessFSMakeReg | ll.AccessFSMakeSock |
		ll.AccessFSMakeFifo | ll.AccessFSMakeSym | ll.AccessFSRefer)
	if version >= 3 {
		files |= ll.AccessFSTruncate
	}
	return landlock.V7.BestEffort().Restrict(landlock.PathAccess(files, "/"))
}
