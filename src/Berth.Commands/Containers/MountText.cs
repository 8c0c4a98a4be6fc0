using Berth.Api.Containers;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary>Mounts as people write them, by docker's rules.</summary>
internal static class MountText
{
    /// <summary><c>[SOURCE:]PATH[:ro|rw]</c>: a source that begins with '/', '.' or '~' is a folder, any other the name
    /// of a volume.</summary>
    public static MountView OfVolume(string text)
    {
        string[] parts = text.Split(':');
        bool readOnly = parts.Length > 1 && parts[^1] == "ro";
        if (parts.Length > 1 && parts[^1] is "ro" or "rw")
        {
            parts = parts[..^1];
        }

        return parts switch
        {
            [var target] when target.StartsWith('/') => new MountView("volume", null, target, readOnly),
            [var source, var target] when source.Length > 0 && target.StartsWith('/') => IsPath(source)
                ? new MountView("host", PathOf(source), target, readOnly)
                : new MountView("volume", source, target, readOnly),
            _ => throw Refuse("--volume", text, "write NAME:/path, /folder:/path or /path, with :ro for reading only"),
        };
    }

    /// <summary><c>type=TYPE,source=…,target=…[,readonly]</c>.</summary>
    public static MountView OfMount(string text)
    {
        Dictionary<string, string> words = [];
        foreach (string part in text.Split(','))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            words[equals < 0 ? part : part[..equals]] = equals < 0 ? "" : part[(equals + 1)..];
        }

        string? Word(params ReadOnlySpan<string> names)
        {
            foreach (string name in names)
            {
                if (words.Remove(name, out string? value))
                {
                    return value;
                }
            }

            return null;
        }

        string type = Word("type") ?? "volume";
        string? source = Word("source", "src");
        string? target = Word("target", "destination", "dst");
        bool readOnly = Word("readonly", "ro") is "" or "true" or "1";
        string? size = Word("tmpfs-size");
        if (words.Keys.FirstOrDefault() is { } unknown)
        {
            throw Refuse("--mount", text, $"it has no word '{unknown}'; there are type, source, target and readonly");
        }

        return type switch
        {
            _ when target is null => throw Refuse("--mount", text, "target= is missing"),
            "volume" => new MountView("volume", source, target, readOnly),
            "bind" when source is not { Length: > 0 } => throw Refuse("--mount", text, "source= is missing"),
            "bind" => new MountView("host", PathOf(source), target, readOnly),
            "tmpfs" => new MountView("memory", null, target, readOnly, size),
            _ => throw Refuse("--mount", text, "type is volume, bind or tmpfs"),
        };
    }

    /// <summary><c>PATH[:size=SIZE][,ro]</c>.</summary>
    public static MountView OfTemporary(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
        {
            return new MountView("memory", null, text);
        }

        string? size = null;
        bool readOnly = false;
        foreach (string option in text[(colon + 1)..].Split(','))
        {
            // The others are what such a mount is anyway.
            readOnly |= option == "ro";
            size = option.StartsWith("size=", StringComparison.Ordinal) ? option["size=".Length..]
                : option is "ro" or "rw" or "nosuid" or "nodev" ? size
                : throw Refuse("--tmpfs", text, $"it has no option '{option}'; there are size=SIZE and ro");
        }

        return new MountView("memory", null, text[..colon], readOnly, size);
    }

    private static bool IsPath(string source) => source[0] is '/' or '.' or '~';

    private static string PathOf(string source) => source.StartsWith("~/", StringComparison.Ordinal)
        ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), source[2..])
        : Path.GetFullPath(source);

    private static BerthException Refuse(string option, string text, string why) =>
        new(ErrorCode.InvalidRequest, $"{option}: '{text}' can't be used: {why}.");
}
