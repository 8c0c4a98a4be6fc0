using System.Runtime.InteropServices;
using System.Text;

namespace Berth.Node.Linux;

/// <summary>
/// Starts programs with posix_spawn(3), which doesn't copy this process's page tables and costs the same however
/// large the server has grown. The child starts in its own session, with default signals, an empty mask, and exactly
/// the descriptors of its spec.
/// </summary>
public static class Spawner
{
    private static readonly string[] PlainEnvironment =
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

    /// <summary>Orphans of our children become our children, so that a container's init can be waited for after the
    /// runc that made it is gone (prctl(2), PR_SET_CHILD_SUBREAPER).</summary>
    public static void BecomeSubreaper()
    {
        if (LibcPrograms.PrCtl(LibcPrograms.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        {
            throw LinuxException.Last("prctl", "PR_SET_CHILD_SUBREAPER");
        }
    }

    /// <summary>Throws LinuxException with the errno of execve when the program can't be run.</summary>
    public static unsafe PidHandle Start(SpawnSpec spec, ReadinessPoller poller)
    {
        ArgumentNullException.ThrowIfNull(spec);
        byte* actions = stackalloc byte[LibcPrograms.FileActionsBytes];
        byte* attributes = stackalloc byte[LibcPrograms.AttributesBytes];
        List<FileDescriptor> moved = [];
        Check(LibcPrograms.FileActionsInit(actions), "posix_spawn_file_actions_init", spec);
        Check(LibcPrograms.AttributesInit(attributes), "posix_spawnattr_init", spec);
        try
        {
            Map(actions, spec, moved);
            SetSignals(attributes, spec);
            using CStrings arguments = new([spec.Path, .. spec.Arguments]);
            using CStrings environment = new(spec.Environment ?? PlainEnvironment);
            int pid;
            Check(
                LibcPrograms.PosixSpawn(&pid, spec.Path, actions, attributes, arguments.Vector, environment.Vector),
                "posix_spawn",
                spec);
            return PidHandle.Open(pid, poller);
        }
        finally
        {
            _ = LibcPrograms.FileActionsDestroy(actions);
            _ = LibcPrograms.AttributesDestroy(attributes);
            moved.ForEach(m => m.Dispose());
            GC.KeepAlive(spec);
        }
    }

    private static unsafe void Map(byte* actions, SpawnSpec spec, List<FileDescriptor> moved)
    {
        IReadOnlyList<FileDescriptor?> descriptors = spec.Descriptors ?? [];
        int count = Math.Max(descriptors.Count, 3);
        for (int target = 0; target < count; target++)
        {
            FileDescriptor? source = target < descriptors.Count ? descriptors[target] : null;
            if (source is null)
            {
                Check(LibcPrograms.FileActionsAddOpen(actions, target, "/dev/null", Libc.O_RDWR, 0), "open", spec);
                continue;
            }

            // A source whose own number is a target could be overwritten before its turn comes.
            if (source.Number < count)
            {
                source = source.Duplicate(count);
                moved.Add(source);
            }

            Check(LibcPrograms.FileActionsAddDup2(actions, source.Number, target), "dup2", spec);
        }

        Check(LibcPrograms.FileActionsAddCloseFrom(actions, count), "closefrom", spec);
        Check(LibcPrograms.FileActionsAddChDir(actions, spec.WorkingDirectory ?? "/"), "chdir", spec);
    }

    private static unsafe void SetSignals(byte* attributes, SpawnSpec spec)
    {
        byte* set = stackalloc byte[LibcPrograms.SignalSetBytes];
        new Span<byte>(set, LibcPrograms.SignalSetBytes).Clear();
        Check(LibcPrograms.AttributesSetSignalMask(attributes, set), "sigmask", spec);
        // The runtime ignores SIGPIPE, and ignored signals stay ignored through execve.
        new Span<byte>(set, 8).Fill(0xFF);
        Check(LibcPrograms.AttributesSetSignalDefaults(attributes, set), "sigdefault", spec);
        const short Flags = LibcPrograms.POSIX_SPAWN_SETSIGDEF | LibcPrograms.POSIX_SPAWN_SETSIGMASK
            | LibcPrograms.POSIX_SPAWN_SETSID;
        Check(LibcPrograms.AttributesSetFlags(attributes, Flags), "spawn flags", spec);
    }

    /// <summary>These calls return the error number rather than setting it.</summary>
    private static void Check(int result, string call, SpawnSpec spec)
    {
        if (result != 0)
        {
            throw new LinuxException(call, spec.Path, result);
        }
    }

    /// <summary>A NULL-terminated vector of C strings outside the managed heap.</summary>
    private sealed unsafe class CStrings : IDisposable
    {
        private readonly int count;

        public CStrings(IReadOnlyList<string> texts)
        {
            count = texts.Count;
            Vector = (byte**)NativeMemory.AllocZeroed((nuint)count + 1, (nuint)sizeof(byte*));
            for (int i = 0; i < count; i++)
            {
                int bytes = Encoding.UTF8.GetByteCount(texts[i]);
                Vector[i] = (byte*)NativeMemory.Alloc((nuint)bytes + 1);
                Encoding.UTF8.GetBytes(texts[i], new Span<byte>(Vector[i], bytes));
                Vector[i][bytes] = 0;
            }
        }

        public byte** Vector { get; }

        public void Dispose()
        {
            for (int i = 0; i < count; i++)
            {
                NativeMemory.Free(Vector[i]);
            }

            NativeMemory.Free(Vector);
        }
    }
}
