package lab

// AbsentPrefix begins the lines of a test's output that name what its kernel
// lacks.
const AbsentPrefix = "this kernel lacks: "

// Absent notes that the kernel has no such feature, by the name that longwire
// doctor has for it, and that the test therefore looks at the way around it, or
// has nothing to look at. Nothing is left out without such a line: who runs the
// tests on an old kernel compares them with what that kernel is known to lack.
func Absent(tb TB, feature string) {
	tb.Helper()
	tb.Logf(AbsentPrefix+"%s", feature)
}
