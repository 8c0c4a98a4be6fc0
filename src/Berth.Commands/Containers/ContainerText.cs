using System.Globalization;
using Berth.Api.Containers;
using Berth.Commands.Output;

namespace Berth.Commands.Containers;

/// <summary>A container as people read it.</summary>
internal static class ContainerText
{
    private const int ShortId = 12;
    private const int ShortCommand = 30;

    public static string Id(string id) => id[..Math.Min(id.Length, ShortId)];

    /// <summary>As docker says it: <c>Up 5 minutes (healthy)</c>, <c>Exited (0) 2 hours ago</c>.</summary>
    public static string Status(ContainerView container, DateTimeOffset now)
    {
        string health = container.Health is { } report
            ? report.Status == "starting" ? " (health: starting)" : $" ({report.Status})"
            : "";
        string up = "Up " + Wording.Span(now - (container.StartedAt ?? now));
        string code = (container.ExitCode ?? 0).ToString(CultureInfo.InvariantCulture);
        return container.State switch
        {
            "running" => up + health,
            "paused" => up + " (Paused)",
            "restarting" => $"Restarting ({code}) {Wording.Age(container.FinishedAt, now)}",
            "exited" => $"Exited ({code}) {Wording.Age(container.FinishedAt, now)}",
            "unknown" => $"Unknown (node {container.Node} is lost)",
            _ => "Created",
        };
    }

    /// <summary>What was asked for beside the image; the image's own words are not known here.</summary>
    public static string Command(ContainerView container, bool whole)
    {
        string text = string.Join(' ', container.Spec.Command ?? container.Spec.Arguments ?? []);
        string shown = new([.. text.Select(c => char.IsControl(c) ? ' ' : c)]);
        return whole || shown.Length <= ShortCommand ? shown : shown[..(ShortCommand - 1)] + "…";
    }
}
