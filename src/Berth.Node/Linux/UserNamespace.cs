namespace Berth.Node.Linux;

/// <summary>A range of user or group ids: inside id <c>Inside + n</c> is host id <c>Outside + n</c>.</summary>
public readonly record struct IdRange(uint Inside, uint Outside, uint Count)
{
    public override string ToString() => $"{Inside} {Outside} {Count}\n";
}

/// <summary>
/// A user namespace held only for its id maps, as mount_setattr(2) wants one. No process lives in it.
/// </summary>
public sealed class UserNamespace : IDisposable
{
    private UserNamespace(FileDescriptor descriptor) => Descriptor = descriptor;

    public FileDescriptor Descriptor { get; }

    /// <summary>
    /// A multithreaded process can't unshare its user namespace (unshare(2)), so a berth-init is started in its
    /// holding role: it makes the namespace, says so by one byte, and stays until its input ends.
    /// </summary>
    public static async Task<UserNamespace> CreateAsync(
        string initPath,
        IReadOnlyList<IdRange> users,
        IReadOnlyList<IdRange> groups,
        ReadinessPoller poller,
        CancellationToken cancellationToken)
    {
        using Pipe hold = Pipe.Create();
        using Pipe ready = Pipe.Create();
        using PidHandle holder = Spawner.Start(
            new SpawnSpec(initPath, ["hold-user-namespace"], Descriptors: [hold.ReadEnd, ready.WriteEnd]), poller);
        hold.ReadEnd.Dispose();
        ready.WriteEnd.Dispose();
        try
        {
            await using PipeReadStream answer = new(ready.ReadEnd, poller);
            if (await answer.ReadAsync(new byte[1], cancellationToken) == 0)
            {
                ProgramEnd? end = await holder.Exited;
                throw new LinuxException("unshare", "CLONE_NEWUSER", end?.ExitCode ?? 0);
            }

            await WriteMapAsync($"/proc/{holder.Pid}/uid_map", users, cancellationToken);
            await WriteMapAsync($"/proc/{holder.Pid}/gid_map", groups, cancellationToken);
            string path = $"/proc/{holder.Pid}/ns/user";
            int number = Libc.Open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
            return number >= 0
                ? new UserNamespace(new FileDescriptor(number))
                : throw LinuxException.Last("open", path);
        }
        finally
        {
            holder.Signal(PidHandle.SigKill);
            await holder.Exited;
        }
    }

    public void Dispose() => Descriptor.Dispose();

    /// <summary>The kernel takes a map in one write only (user_namespaces(7)).</summary>
    private static Task WriteMapAsync(string path, IReadOnlyList<IdRange> ranges, CancellationToken cancellationToken) =>
        File.WriteAllTextAsync(path, string.Concat(ranges), cancellationToken);
}
