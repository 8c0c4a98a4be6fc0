using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Configuration;

namespace Berth.Server.Calls;

/// <summary>What a request says of volumes and folders in a program's files. Which folders of a machine may be had
/// there is its administrator's to say: that decides where the program may run.</summary>
internal static class MountOrder
{
    private static readonly ByteSize LeastTemporary = ByteSize.FromBytes(4096);

    /// <summary>Null for nothing. Throws <c>InvalidRequest</c>.</summary>
    /// <param name="atVolumes">Where the volumes and folders stand.</param>
    /// <param name="atTemporary">Where those in memory do.</param>
    public static IReadOnlyList<RunMount>? Read(
        Asked atVolumes, IReadOnlyList<string>? volumes, Asked atTemporary, IReadOnlyList<string>? temporary,
        ServerOptions server)
    {
        List<RunMount> mounts = [.. (volumes ?? []).Select(text => At(atVolumes, text, RunMount.Parse))];
        foreach (string text in temporary ?? [])
        {
            RunMount mount = At(atTemporary, text, RunMount.ParseTemporary);
            mounts.Add(mount.Size >= LeastTemporary && mount.Size <= server.MaxLimits.Memory
                ? mount
                : throw atTemporary.Refuse(
                    text,
                    $"its size is from {LeastTemporary} to {server.MaxLimits.Memory}, the operator's max-memory"));
        }

        return RunMount.Order(mounts);
    }

    /// <summary>A request that would lead to the same.</summary>
    public static (IReadOnlyList<string>? Volumes, IReadOnlyList<string>? Temporary) Write(RunSpec run)
    {
        string[] volumes = [.. Texts(run, m => m.Kind != MountKind.Temporary)];
        string[] temporary = [.. Texts(run, m => m.Kind == MountKind.Temporary)];
        return (volumes.Length == 0 ? null : volumes, temporary.Length == 0 ? null : temporary);
    }

    private static IEnumerable<string> Texts(RunSpec run, Func<RunMount, bool> which) =>
        (run.Mounts ?? []).Where(which).Select(m => m.Asked);

    private static RunMount At(Asked place, string? text, Func<string, RunMount> parse)
    {
        try
        {
            return parse(text ?? "");
        }
        catch (BerthException refusal)
        {
            throw new BerthException(refusal.Code, $"{place.Place}: {refusal.Message}", refusal);
        }
    }
}
