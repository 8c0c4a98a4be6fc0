namespace Berth.Init.Protocol;

/// <summary>Every bound of the protocol in one place. Both sides check them, on writing and on reading.</summary>
public static class FrameLimits
{
    public const ushort Version = 6;

    /// <summary>u32 payload length, u8 type.</summary>
    public const int HeaderBytes = 5;

    /// <summary>
    /// One argument or environment variable, as the kernel's MAX_ARG_STRLEN (execve(2)) less its NUL.
    /// </summary>
    public const int MaxText = (128 * 1024) - 1;

    /// <summary>Arguments and environment together, well under the kernel's quarter of an 8 MiB stack.</summary>
    public const int MaxTexts = 1024 * 1024;

    public const int MaxTextCount = 16 * 1024;

    /// <summary>PATH_MAX less its NUL.</summary>
    public const int MaxPath = 4095;

    /// <summary>"user:group" with names of 32 to 255 bytes each.</summary>
    public const int MaxUser = 511;

    /// <summary>BPF_MAXINSNS (4096) instructions of 8 bytes.</summary>
    public const int MaxFilter = 4096 * 8;

    /// <summary>A sentence for people in Refused and Failed; the writer cuts, the reader refuses.</summary>
    public const int MaxDetail = 2048;

    /// <summary>Descriptors that may come with one frame.</summary>
    public const int MaxDescriptors = 8;

    /// <summary>Descriptors that come with Spawn, as an init inherits them: 0, 1 and 2, the connection, and the
    /// progress pipe's write end.</summary>
    public const int SpawnDescriptors = 5;

    /// <summary>Paths of /proc that an outer container's sandboxes must not see or not write.</summary>
    public const int MaxPaths = 64;

    /// <summary>Texts with their length prefixes and NULs, plus the fixed fields.</summary>
    public const int MaxPayload = MaxTexts + (MaxTextCount * 5) + (16 * 1024);
}
