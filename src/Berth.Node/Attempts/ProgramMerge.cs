using System.Globalization;
using Berth.Api.Nodes;
using Berth.Init.Protocol;
using Berth.Node.Init;
using Berth.Oci.Images;

namespace Berth.Node.Attempts;

/// <summary>
/// Puts together what an image says about its program and what the caller ordered, by docker's rules. Pure.
/// </summary>
internal static class ProgramMerge
{
    /// <summary>Where berth-init puts the progress pipe for the program.</summary>
    private const string ProgressDescriptor = "3";

    /// <summary>Null when neither says what to run.</summary>
    /// <param name="ends">When the program will be ended; null when never.</param>
    public static ProgramStart? Merge(AttemptSpec order, ImageConfig image, string hostName, DateTimeOffset? ends)
    {
        ContainerDefaults defaults = image.Config ?? new ContainerDefaults();
        IReadOnlyList<string> command = order.Command is { Count: > 0 } replaced
            ? [.. replaced, .. order.Arguments ?? []]
            : [.. defaults.Entrypoint ?? [], .. order.Arguments ?? defaults.Cmd ?? []];
        if (command.Count == 0 || command[0].Length == 0)
        {
            return null;
        }

        Dictionary<string, string> environment = new(StringComparer.Ordinal);
        foreach (string entry in defaults.Env ?? [])
        {
            int equals = entry.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
            {
                environment[entry[..equals]] = entry[(equals + 1)..];
            }
        }

        environment["HOSTNAME"] = hostName;
        foreach ((string name, string value) in order.Environment)
        {
            environment[name] = value;
        }

        if (ends is { } deadline)
        {
            environment["BERTH_DEADLINE"] = deadline.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
        }

        if (order.Terminal is not null)
        {
            environment.TryAdd("TERM", "xterm");
        }

        environment["BERTH_PROGRESS_FD"] = ProgressDescriptor;
        string folder =
            order.WorkingDirectory ?? (string.IsNullOrEmpty(defaults.WorkingDir) ? "/" : defaults.WorkingDir);
        return new ProgramStart(
            command, environment, order.User ?? defaults.User ?? "", folder.StartsWith('/') ? folder : "/" + folder)
        {
            Scheduling = order.IsInstance ? ProgramScheduling.Batch : ProgramScheduling.Inherited,
        };
    }
}
