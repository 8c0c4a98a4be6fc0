using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Core.Runs;

/// <summary>Something in the files of a call, a task or an instance that is not its image's: a named volume, a folder
/// of its machine, or one in memory.</summary>
/// <param name="Source">Name of the volume or absolute path on the machine; empty for one in memory.</param>
/// <param name="Target">Absolute path in the sandbox; made where it is missing.</param>
/// <param name="Size">Of one in memory.</param>
public sealed record RunMount(MountKind Kind, string Source, string Target, bool ReadOnly, ByteSize Size = default)
{
    /// <summary>Of one run.</summary>
    public const int Most = 16;

    /// <summary>In memory, where no size is given.</summary>
    public static ByteSize UsualSize { get; } = ByteSize.MiB(64);

    private const int MaxPath = 1024;
    private const string ReadingOnly = ":ro";
    private const string InMemory = "memory=";

    /// <summary>In one line, as <see cref="Read"/> takes it.</summary>
    public string Text => Kind == MountKind.Temporary
        ? $"{InMemory}{Size.ToExactString()}:{Target}{(ReadOnly ? ReadingOnly : "")}"
        : $"{Source}:{Target}{(ReadOnly ? ReadingOnly : "")}";

    /// <summary>Whether <see cref="Text"/> says it: not where a path has a colon, a control character or more than
    /// 1,024 characters.</summary>
    public bool CanBeText
    {
        get
        {
            try
            {
                return Read(Text) == this;
            }
            catch (BerthException)
            {
                return false;
            }
        }
    }

    /// <summary>As it is asked for among those of its kind.</summary>
    public string Asked => Kind == MountKind.Temporary
        ? $"{Target}:size={Size.ToExactString()}{(ReadOnly ? ",ro" : "")}"
        : Text;

    /// <summary>Reads <c>NAME:/path</c> or <c>/folder:/path</c>, with <c>:ro</c> for reading only.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static RunMount Parse(string text)
    {
        (string rest, bool readOnly) = Flagged(text);
        int colon = rest.IndexOf(':', StringComparison.Ordinal);
        string source = colon < 0 ? "" : rest[..colon];
        string? target = colon <= 0 ? null : TargetOf(rest[(colon + 1)..]);
        if (target is null || (source[0] == '/' && Clean(source) is null))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Quoted.Of(text)}' is no volume: write NAME:/path or /folder:/path, with :ro for reading only. The "
                + "path is absolute, without '.' and '..', and not in /proc, /sys or /dev.");
        }

        return source[0] == '/'
            ? new RunMount(MountKind.Host, Clean(source)!, target, readOnly)
            : new RunMount(MountKind.Volume, ContainerName.Check(source, "volume"), target, readOnly);
    }

    /// <summary>Reads <c>/path</c> or <c>/path:size=64Mi</c>, with <c>,ro</c> for reading only: a folder in memory.
    /// </summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static RunMount ParseTemporary(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        ByteSize size = UsualSize;
        bool readOnly = false;
        foreach (string option in colon < 0 ? [] : text[(colon + 1)..].Split(','))
        {
            readOnly |= option == "ro";
            size = option.StartsWith("size=", StringComparison.Ordinal) ? ByteSize.Parse(option["size=".Length..])
                : option is "ro" or "rw" ? size
                : throw Refuse(text);
        }

        return TargetOf(colon < 0 ? text : text[..colon]) is { } target
            ? new RunMount(MountKind.Temporary, "", target, readOnly, size)
            : throw Refuse(text);

        static BerthException Refuse(string text) => new(
            ErrorCode.InvalidRequest,
            $"'{Quoted.Of(text)}' is no folder in memory: write /path or /path:size=64Mi, with ,ro for reading only. "
            + "The path is absolute, without '.' and '..', and not in /proc, /sys or /dev.");
    }

    /// <summary>Reads what <see cref="Text"/> wrote.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static RunMount Read(string text)
    {
        if (!text.StartsWith(InMemory, StringComparison.Ordinal))
        {
            return Parse(text);
        }

        (string rest, bool readOnly) = Flagged(text[InMemory.Length..]);
        int colon = rest.IndexOf(':', StringComparison.Ordinal);
        return ParseTemporary($"{rest[(colon + 1)..]}:size={rest[..Math.Max(0, colon)]}{(readOnly ? ",ro" : "")}");
    }

    /// <summary>In the order in which they are mounted: one below another comes after it, or it would be hidden.
    /// </summary>
    /// <returns>Null where there are none.</returns>
    /// <exception cref="BerthException">InvalidRequest: there are too many, or two in one place.</exception>
    public static IReadOnlyList<RunMount>? Order(IReadOnlyCollection<RunMount> mounts)
    {
        if (mounts.Count > Most)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"There are {mounts.Count} volumes and folders; at most {Most} are taken.");
        }

        if (mounts.GroupBy(m => m.Target, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"Two mounts can't be at one place, {Quoted.Of(twice.Key)}: give each a path of its own.");
        }

        return mounts.Count == 0 ? null : [.. mounts.OrderBy(m => m.Target.Count(c => c == '/'))];
    }

    /// <summary>The folder and all that it is in, down to the root: whoever allows one of them allows it.</summary>
    public static IEnumerable<string> Around(string folder)
    {
        for (int end = folder.Length; end > 0; end = folder.LastIndexOf('/', end - 1))
        {
            yield return folder[..end];
        }

        if (folder != "/")
        {
            yield return "/";
        }
    }

    /// <summary>An absolute path in its shortest writing; null for what is none, or goes through '.' or '..'.</summary>
    public static string? Clean(string path) =>
        path.Length is > 0 and <= MaxPath && path[0] == '/' && !path.AsSpan().ContainsAnyInRange('\0', '\x1f')
        && path.Split('/', StringSplitOptions.RemoveEmptyEntries) is var parts
        && parts.All(part => part is not (".." or "."))
            ? "/" + string.Join('/', parts)
            : null;

    private static (string Plain, bool ReadOnly) Flagged(string text)
    {
        bool readOnly = text.EndsWith(ReadingOnly, StringComparison.Ordinal);
        return (
            readOnly ? text[..^ReadingOnly.Length]
                : text.EndsWith(":rw", StringComparison.Ordinal) ? text[..^":rw".Length] : text,
            readOnly);
    }

    private static string? TargetOf(string text) =>
        Clean(text) is { Length: > 1 } target && !target.Contains(':', StringComparison.Ordinal)
        && target.Split('/')[1] is not ("proc" or "sys" or "dev")
            ? target
            : null;
}
