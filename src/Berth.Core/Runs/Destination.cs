using System.Diagnostics.CodeAnalysis;
using Berth.Core.Callbacks;
using Berth.Core.Functions;

namespace Berth.Core.Runs;

/// <summary>Where the end of a task is handed on to: a function, which gets a task of its own, or an address, which is
/// told as by a callback. One of the two is null.</summary>
public sealed record Destination
{
    /// <summary>Tasks in a row that destinations may make of one: functions that hand on to each other would never
    /// end.</summary>
    public const int MaxHops = 16;

    private const int MaxAddressLength = 2048;

    private Destination(string? function, Uri? address)
    {
        Function = function;
        Address = address;
    }

    /// <summary>Its name.</summary>
    public string? Function { get; }

    public Uri? Address { get; }

    /// <summary>As it is written.</summary>
    public string Text => Function ?? Address!.OriginalString;

    /// <param name="text">A function's name, or an address of http or https.</param>
    public static bool TryParse(string text, [NotNullWhen(true)] out Destination? destination)
    {
        destination = FunctionName.IsValid(text) ? new Destination(text, null)
            : text.Length <= MaxAddressLength && WebAddress.TryParse(text, out Uri? address)
                && address.UserInfo.Length == 0 && address.Fragment.Length == 0
            ? new Destination(null, address)
            : null;
        return destination is not null;
    }

    /// <summary>One that was kept.</summary>
    public static Destination Restore(string text) => TryParse(text, out Destination? destination)
        ? destination
        : throw new InvalidOperationException($"The store holds a destination '{text}'.");
}
