using System.Reflection;
using Berth.Server.Store;

namespace Berth.Testing.Store;

/// <summary>A store that fails where a test says so and otherwise passes everything on.</summary>
public class FaultyStore : DispatchProxy
{
    private IRunStore inner = null!;
    private Func<string, object?[], Exception?> fault = null!;

    /// <param name="fault">What a call of the named method with these arguments throws; null to pass it on.</param>
    public static IRunStore Over(IRunStore inner, Func<string, object?[], Exception?> fault)
    {
        IRunStore store = Create<IRunStore, FaultyStore>();
        FaultyStore proxy = (FaultyStore)(object)store;
        proxy.inner = inner;
        proxy.fault = fault;
        return store;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
        fault(targetMethod!.Name, args ?? []) is { } error
            ? throw error
            : targetMethod.Invoke(inner, BindingFlags.DoNotWrapExceptions, null, args, null);
}
